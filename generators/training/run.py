"""What every training does round its steps: clock, notes, sample sheets, checkpoints."""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from PIL import Image
from torch import Tensor, nn

from steer.errors import BadInput
from steer.files import atomic_path, read_tensors, write_tensors

Progress = Callable[[int, int], None]

AVIARY = "aviary"
"""The data that come with the toolkit; anything else names a folder."""

CHECKPOINT = "checkpoint.safetensors"

FLAGS = ("data", "held_out", "name", "count", "epochs", "minutes", "steps", "seed")
"""Fields of a training's configuration that its command has an option of its own for."""

BESIDE = frozenset({"threads", "device", "checkpoint_minutes", "sheet_steps", "measure_steps"})
"""Fields that say where and how a training is watched, not what is learnt."""


@runtime_checkable
class Run(Protocol):
    """Everything that changes during a training.

    Attributes:
        config: what the training is made of, a frozen dataclass with ``seed``, ``sheet_steps`` between notes
            and sample sheets, and ``checkpoint_minutes`` between checkpoints.
        rng: where its random numbers come from.
        step_number: steps made so far.
        seconds: time spent so far.
        networks: what a checkpoint holds, by name.
        replaceable: those of them that start afresh where a checkpoint does not hold them in their shape.
    """

    config: Any
    rng: torch.Generator
    step_number: int
    seconds: float

    @property
    def networks(self) -> Mapping[str, nn.Module]: ...  # noqa: D102

    @property
    def replaceable(self) -> frozenset[str]: ...  # noqa: D102

    @property
    def done(self) -> float:
        """The share of the run that is over; 1 or more at its end."""
        ...

    def step(self) -> dict[str, float]:
        """Make one step, and return the losses."""
        ...

    def measures(self) -> dict[str, float]:
        """Measure what was learnt, where that is due at this step; empty otherwise."""
        ...

    def sheet(self) -> Image.Image:
        """Draw samples."""
        ...


def share_done(seconds: float, minutes: float | None, step_number: int, steps: int) -> float:
    """Return the share of a run that is over, by the clock, or by steps where ``minutes`` is None."""
    return step_number / steps if minutes is None else seconds / (60 * max(minutes, 1e-9))


def command_of(kind: str, config: Any) -> str:
    """Return the command that trains so again, with every option that is not as usual; folders are called FOLDER.

    Args:
        kind: the name behind ``steer train``.
        config: what the training is made of, a frozen dataclass.
    """
    words = ["steer", "train", kind]
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name in BESIDE or value is None or (value == field.default and field.name != "seed"):
            continue
        if field.name == "held_out" or (field.name == "data" and value != AVIARY):
            value = "FOLDER"
        text = f"{value}".lower() if isinstance(value, bool) else f"{value}"
        text = ",".join(map(str, value)) if isinstance(value, tuple) else text
        words += (
            [f"--{field.name.replace('_', '-')}", text] if field.name in FLAGS else ["--option", f"{field.name}={text}"]
        )
    return " ".join([*words, "--out", "FOLDER"])


def keep_running(run: Run, out: Path, progress: Progress | None = None) -> None:
    """Make steps until a run is done.

    Writes ``checkpoint.safetensors``, ``metrics.jsonl`` and ``sheet-*.png`` into ``out`` as it goes. Where ``out``
    holds a checkpoint, goes on from it.

    Args:
        run: what is trained.
        out: an empty folder, or one of an interrupted run; made where it is missing.
        progress: called with thousandths of the run that are done and 1000; it may raise to stop.

    Raises:
        BadInput: the folder cannot be made, or its checkpoint is of another network.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"cannot make the folder '{out}' ({error.strerror}); choose another") from error
    if (out / CHECKPOINT).is_file():
        load_checkpoint(run, out)
    saved = clock = time.monotonic()
    recent: list[dict[str, float]] = []
    while run.done < 1:
        recent.append(run.step())
        now = time.monotonic()
        run.seconds, clock = run.seconds + now - clock, now
        if progress is not None:
            progress(min(int(1000 * run.done), 1000), 1000)
        if run.step_number % run.config.sheet_steps == 0 or run.done >= 1:
            means = {
                name: sum(each[name] for each in recent if name in each) / sum(name in each for each in recent)
                for name in recent[-1]
            }
            _note(out, run, means | run.measures())
            with atomic_path(out / f"sheet-{run.step_number:06d}.png") as path:
                run.sheet().save(path)
            recent = []
        if now - saved > 60 * run.config.checkpoint_minutes or run.done >= 1:
            save_checkpoint(run, out)
            saved = now


def _note(out: Path, run: Run, record: Mapping[str, float]) -> None:
    line = {"step": run.step_number, "seconds": run.seconds, **record}
    with (out / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({name: float(f"{value:.4g}") for name, value in line.items()}) + "\n")


def save_checkpoint(run: Run, out: Path) -> None:
    """Write all weights as one file, whole or not at all."""
    tensors = {
        f"{part}.{name}": each for part, module in run.networks.items() for name, each in module.state_dict().items()
    }
    header = {"steps": run.step_number, "seconds": run.seconds, "config": asdict(run.config)}
    write_tensors(out / CHECKPOINT, tensors, header)


def load_checkpoint(run: Run, out: Path) -> None:
    """Read weights and progress back; the optimisers start afresh, and so does what is replaceable and does not fit.

    Raises:
        BadInput: the checkpoint is of networks of another shape.
    """
    tensors, header = read_tensors(out / CHECKPOINT)
    held: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, inner = name.partition(".")
        held.setdefault(part, {})[inner] = tensor
    fits = {
        name for name, network in run.networks.items() if _shapes(held.get(name, {})) == _shapes(network.state_dict())
    }
    if unfit := run.networks.keys() - fits - run.replaceable:
        raise BadInput(
            f"the checkpoint in '{out}' is of another network ({', '.join(sorted(unfit))}); train into an empty "
            f"folder, or with the options it was begun with: {header.get('config')}"
        )
    for name in fits:
        run.networks[name].load_state_dict(held[name])
    run.step_number, run.seconds = int(header["steps"]), float(header["seconds"])
    run.rng.manual_seed(run.config.seed + run.step_number)


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def tile(images: Tensor, columns: int) -> Image.Image:
    """Lay pictures (batch, 3, height, width) in [0, 1] out in rows, first to last."""
    rows = math.ceil(len(images) / columns)
    blank = images.new_ones((rows * columns - len(images), *images.shape[1:]))
    grid = torch.cat([images, blank]).unflatten(0, (rows, columns))  # (rows, columns, 3, height, width)
    pixels = (grid.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1) * 255).round().clamp(0, 255).byte()
    return Image.fromarray(pixels.cpu().numpy())
