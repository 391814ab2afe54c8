"""A card names the command that trains so again, and that command means it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steer.apps.command_line import main
from steer.generators.training.biggan import BigGANTraining
from steer.generators.training.classifier import ClassifierTraining
from steer.generators.training.clip import CLIPTraining
from steer.generators.training.ddim import DDIMTraining
from steer.generators.training.measurer import MeasurerTraining
from steer.generators.training.run import command_of

TRAININGS: dict[str, Any] = {
    "biggan": BigGANTraining(minutes=None, steps=40, z_dim=24, settling_at=0.25),
    "ddim": DDIMTraining(data="FOLDER", side=16, channels=(64, 96, 128), mirrored=True, seed=3),
    "clip": CLIPTraining(minutes=7.5, batch=48),
    "classifier": ClassifierTraining("FOLDER", "FOLDER", name="mine", epochs=3, batch=64),
    "measurer": MeasurerTraining(name="mine", count=500, epochs=2, channels=(16, 24, 32, 48)),
}


@pytest.mark.parametrize("kind", TRAININGS)
def test_the_command_of_a_card_trains_as_the_card_says(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = TRAININGS[kind]
    caught: list[Any] = []

    def catch(config: Any, *rest: object) -> None:
        caught.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr(f"steer.generators.training.{kind}.train_{kind}", catch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FOLDER").mkdir()
    program, *words = command_of(kind, config).split()
    assert program == "steer"
    main(words)
    assert caught == [config]


def test_what_only_says_how_a_training_is_watched_is_no_part_of_it() -> None:
    plain = DDIMTraining()
    assert command_of("ddim", replace(plain, threads=7, sheet_steps=5)) == command_of("ddim", plain)
    assert command_of("ddim", plain) == "steer train ddim --seed 0 --out FOLDER"
