"""Stand-ins for photographs: blobs of a colour of their class, anywhere on noise, and a generator that draws them."""

from pathlib import Path

import torch
from torch import Tensor

from steer.backend import Condition, Stage, State
from steer.generator import Generator
from steer.knob import KnobSet
from steer.latent import Latent
from steer.pictures import to_images
from steer.seeds import draw_normal
from steer.space import Space

SIZE = 16
LABELS = ("blue", "red")
COLOURS = torch.tensor([[0.1, 0.2, 0.9], [0.9, 0.2, 0.1]])
PIXELS = 3 * SIZE * SIZE


def paint(labels: Tensor, dice: Tensor) -> Tensor:
    """Return one picture a label, (batch, 3, 16, 16), from (batch, 2 + pixels) normal dice: a place, and noise."""
    axis = torch.arange(SIZE)
    down, right = (SIZE / 2 + 2 * each[:, None, None] for each in dice[:, :2].unbind(1))
    blob = torch.exp(-((axis[None, :, None] - down) ** 2 + (axis[None, None, :] - right) ** 2) / 12)[:, None]
    noise = 0.5 + 0.1 * dice[:, 2:].reshape(-1, 3, SIZE, SIZE)
    return torch.lerp(noise, COLOURS[labels][:, :, None, None], blob).clamp(0, 1)


def photographs(count: int, seed: int) -> Tensor:
    """Return pictures of both classes, one after the other, (2 · count, 3, 16, 16)."""
    dice = torch.randn((2 * count, 2 + PIXELS), generator=torch.Generator().manual_seed(seed))
    return paint(torch.arange(2).repeat_interleave(count), dice)


def write_photographs(folder: Path, count: int, seed: int = 0) -> Path:
    """Write them as a folder with a sub-folder per class, and return it."""
    for number, image in enumerate(to_images(photographs(count, seed))):
        place = folder / LABELS[number // count]
        place.mkdir(parents=True, exist_ok=True)
        image.save(place / f"{number:04d}.png")
    return folder


class Painter:
    """Draws such pictures.

    Args:
        known: pictures that it only repeats, where it has learnt nothing else.
        wrong: whether it mistakes one class for the other.
    """

    spaces = {"z": Space("z", "input", (2 + PIXELS,), "normal", "a place, and noise")}  # noqa: RUF012
    conditions = {"label": Condition("label", "label", LABELS)}  # noqa: RUF012
    fingerprint = "painter"
    picture_size = (SIZE, SIZE)
    measurer = "picture"
    samplers = {}  # noqa: RUF012

    def __init__(self, known=None, wrong=False):
        self.known, self.wrong = known, wrong

    def to(self, device):
        return self

    def sample(self, seeds, *, condition, truncation=1.0):
        labels = tuple(condition.get("label", [LABELS[seed % 2] for seed in seeds]))
        values = {"z": truncation * draw_normal(seeds, "z", (2 + PIXELS,))}
        return Latent(values, {"label": labels}, tuple(seeds), truncation)

    def stages(self, latent, sampler):
        return [Stage(0, (0.0, 1.0), frozenset({"z"}))]

    def begin(self, latent, sampler):
        return State(
            {"z": latent["z"], "label": torch.tensor([LABELS.index(each) for each in latent.condition["label"]])}
        )

    def advance(self, state, stage, steering):
        return State({**state.tensors, "z": steering("z", stage, state.tensors["z"])})

    def picture(self, state):
        dice, label = state.tensors["z"], state.tensors["label"]
        if self.known is None:
            return paint(1 - label if self.wrong else label, dice)
        half = len(self.known) // 2
        return self.known[label * half + (torch.special.ndtr(dice[:, 0]) * half).long()]

    def linear_map(self, observed, space):
        return None

    def shipped_knobs(self):
        return KnobSet({})


def painter(**ways) -> Generator:
    """Return it as a generator."""
    return Generator(Painter(**ways), name="painter")
