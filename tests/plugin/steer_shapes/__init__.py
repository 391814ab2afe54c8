"""A stranger's generator: soft discs on a plain ground, four dice, in forty lines."""

import torch

from steer.backend import Stage, State
from steer.knob import KnobSet
from steer.latent import Latent
from steer.seeds import draw_normal
from steer.space import Space

SIZE = 16


class Shapes:
    """Discs whose place, size and brightness are a linear map of four dice away from the picture."""

    spaces = {  # noqa: RUF012
        "z": Space("z", "input", (4,), "normal", "four dice"),
        "disc": Space("disc", "inner", (4,), "learned", "x, y, radius and brightness"),
    }
    conditions = {}  # noqa: RUF012
    fingerprint = "shapes-1"
    picture_size = (SIZE, SIZE)
    measurer = "picture"
    samplers = {}  # noqa: RUF012
    mix = torch.tensor([[0.2, 0.1, 0.0, 0.0], [-0.1, 0.2, 0.0, 0.0], [0.0, 0.0, 0.1, 0.05], [0.0, 0.0, 0.0, 0.4]])

    def to(self, device):
        self.mix = self.mix.to(device)
        return self

    def sample(self, seeds, *, condition, truncation=1.0):
        return Latent({"z": truncation * draw_normal(seeds, "z", (4,))}, {}, tuple(seeds), truncation)

    def stages(self, latent, sampler):
        return [Stage(0, (0.0, 0.5), frozenset({"z"})), Stage(1, (0.5, 1.0), frozenset({"disc"}))]

    def begin(self, latent, sampler):
        return State({"z": latent["z"]})

    def advance(self, state, stage, steering):
        if stage.index == 0:
            return State({"disc": steering("z", stage, state.tensors["z"]) @ self.mix.T})
        return State({"disc": steering("disc", stage, state.tensors["disc"])})

    def picture(self, state):
        x, y, radius, brightness = (part.reshape(-1, 1, 1, 1) for part in state.tensors["disc"].unbind(1))
        axis = torch.linspace(-1, 1, SIZE)
        distance = ((axis - x) ** 2 + (axis[:, None] + y) ** 2).sqrt()
        disc = torch.sigmoid((0.5 + radius - distance) * 8) * torch.sigmoid(brightness)
        return disc.expand(-1, 3, -1, -1)

    def linear_map(self, observed, space):
        return self.mix if (observed, space) == ("disc", "z") else None

    def shipped_knobs(self):
        return KnobSet({})


def load(folder):
    return Shapes()
