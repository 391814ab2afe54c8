"""Own ways: states that a model's own steps lead through, each told the true picture next to where its way ended."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_ddim_training import SMALL, discs
from torch import Tensor

from steer.generators.ddim import load
from steer.generators.diffusion.schedule import CLEAN, Levels, Schedule
from steer.generators.diffusion.stepper import Stepper
from steer.generators.training.ddim import Trainer, export
from steer.generators.training.own_ways import OwnWays, uneven_levels
from steer.generators.training.pictures import focus

SIDE = 4
STEPS = 3
STEPPER = Stepper(Schedule.cosine(100), Levels((CLEAN, 9, 49, 99), 100), "v")


def halves(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Call true what is black or white, and what is white what a picture is about."""
    truth = (pictures > 0.5).float()
    return truth, truth[:, :1]


def still(x: Tensor, level: int) -> Tensor:
    """Predict v of a grey picture, which is what is left of the state."""
    r, n = STEPPER.schedule.alpha_bar(level) ** 0.5, (1 - STEPPER.schedule.alpha_bar(level)) ** 0.5
    return x * r / n


def store(size: int = 8, count: int = 2) -> OwnWays:
    ways = OwnWays(size, STEPS, SIDE, halves)
    ways.go(still, torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)), ["a", "b"], STEPPER)
    return ways


def test_states_on_the_way_are_kept_with_their_levels_and_the_truth_at_its_end() -> None:
    ways = store()
    assert len(ways) == 2
    assert ways.levels[:2].tolist() == [[99, 49, 9]] * 2
    x = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    for place, (t, s) in enumerate(STEPPER.levels.down):
        torch.testing.assert_close(ways.states[:2, place].float(), x, atol=1e-2, rtol=1e-2)
        x = STEPPER.step(x, still(x, t), t, s)
    truth, masks = halves((x + 1) / 2)
    assert ways.truth[:2].equal((255 * truth).byte())
    assert ways.masks[:2].equal((255 * masks).byte())


def test_new_ways_take_the_place_of_the_oldest() -> None:
    ways = store(size=2)
    first = ways.states.clone()
    ways.go(still, torch.ones(1, 3, SIDE, SIDE), ["c"], STEPPER)
    assert len(ways) == 2
    assert ways.captions == ["c", "b"]
    assert ways.states[1].equal(first[1])
    assert not ways.states[0].equal(first[0])


def test_what_is_drawn_of_the_store_belongs_together() -> None:
    ways = store()
    told = ways.some(64, torch.Generator().manual_seed(1))
    assert set(told.captions) == {"a", "b"}
    for x, level, truth, caption in zip(told.states, told.levels, told.truth, told.captions, strict=True):
        row = "ab".index(caption)
        assert x.equal(ways.states[row, [99, 49, 9].index(int(level))].float())
        assert truth.equal(ways.truth[row])


def test_uneven_levels_hold_the_top_and_one_of_each_part() -> None:
    rng = torch.Generator().manual_seed(0)
    drawn = torch.tensor([uneven_levels(100, 5, rng).times for _ in range(200)])
    assert drawn[:, 0].eq(CLEAN).all()
    assert drawn[:, -1].eq(99).all()
    edges = torch.linspace(0, 99, 5).long()
    inner = drawn[:, 1:-1]
    assert (inner >= edges[:-1]).all()
    assert (inner < edges[1:]).all()
    assert set(inner[:, 0].tolist()) == set(range(int(edges[1])))  # every level is met


def test_what_is_to_be_predicted_on_a_way_leads_to_the_truth() -> None:
    trainer = Trainer(replace(SMALL, own_from=0.0, own_ways=8, own_steps=4), replace(discs(), nearest=halves))
    ways = trainer._ways()
    assert ways is not None
    told = ways.some(5, trainer.rng)
    lesson = trainer._lesson_of(told)
    for row, level in enumerate(told.levels.tolist()):
        stepper = Stepper(trainer.schedule, Levels((CLEAN, level), 100) if level else Levels((CLEAN, 0), 100), "v")
        guess = stepper.guess(lesson.x[row], lesson.aim[row], level)
        torch.testing.assert_close((guess + 1) * 127.5, told.truth[row].float(), atol=0.2, rtol=0)
    even = lesson.weight / focus(told.masks.float() / 255)
    assert (even <= 1).all()
    assert torch.allclose(even, even[:, :, :1, :1].expand_as(even))  # a level weighs alike all over a picture


@pytest.mark.parametrize(("known", "begun", "learns"), [(True, 0.0, True), (True, 1.0, False), (False, 0.0, False)])
def test_own_ways_are_learnt_from_where_truth_is_known_and_their_time_has_come(
    known: bool, begun: float, learns: bool
) -> None:
    data = replace(discs(), nearest=halves if known else None)
    trainer = Trainer(replace(SMALL, own_from=begun, own_ways=8, own_steps=2, own_every=2), data)
    losses = [trainer.step() for _ in range(3)]
    assert all(("own" in each) == learns for each in losses)
    assert (trainer.own_ways is not None and trainer.own_ways.count > 8) == learns  # new ways every second step


def test_a_model_that_learnt_from_its_own_ways_says_how_little_it_needs(tmp_path: Path) -> None:
    for folder, nearest, (guidance, drafts) in (("sure", halves, (1.5, 4)), ("plain", None, (2.0, 6))):
        trainer = Trainer(replace(SMALL, own_from=0.0, own_ways=8, own_steps=2), replace(discs(), nearest=nearest))
        trainer.step()
        config = load(export(trainer, tmp_path / folder)).config
        assert (config.guidance, config.draft_steps) == (guidance, drafts)
        assert ("true picture" in (tmp_path / folder / "README.md").read_text()) == (nearest is not None)


def test_pictures_are_mirrored_where_that_is_asked() -> None:
    data = discs()
    slanted = replace(data, images=(torch.arange(16).expand(32, 3, 16, 16) * 16).byte().contiguous())
    plain, mirrored = (Trainer(replace(SMALL, mirrored=turned), slanted) for turned in (False, True))
    rows = torch.arange(32)
    turned = mirrored._images(rows)[:, 0, 0, 0] > 0
    assert 4 < int(turned.sum()) < 28
    assert plain._images(rows)[:, 0, 0, 0].max() < 0
    torch.testing.assert_close(mirrored._images(rows).sort(3).values, plain._images(rows).sort(3).values)
