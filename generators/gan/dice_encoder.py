"""The encoder that reads a BigGAN's dice off frozen features of a picture, and its file."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steer.errors import BrokenFile
from steer.files import read_tensors, write_tensors
from steer.generators.gan.network import START

ENCODER, SCHEMA = "encoder.safetensors", 1


class DiceEncoder(nn.Module):
    """Reads dice off frozen features of a picture: the warm start of inversion.

    Args:
        widths: channels of each feature map.
        sizes: height and width of each feature map, in pixels; maps wider than 16 are not read.
        classes: number of classes.
        z_dim: number of dice.
        width: channels it keeps of each map.
    """

    def __init__(
        self, widths: Sequence[int], sizes: Sequence[int], classes: int, z_dim: int, *, width: int = 64
    ) -> None:
        super().__init__()
        self.widths, self.sizes = list(widths), list(sizes)
        self.read = [index for index, size in enumerate(sizes) if START <= size <= 4 * START]
        self.down = nn.ModuleList(
            nn.Conv2d(widths[index], width, sizes[index] // START, sizes[index] // START) for index in self.read
        )
        self.mix = nn.Conv2d(width * len(self.read), 96, 1)
        self.hidden = nn.Linear(96 * START * START, 256)
        self.label = nn.Linear(classes, 256, bias=False)
        self.out = nn.Linear(256, 2 * z_dim)
        nn.init.zeros_(self.out.bias)

    def forward(self, maps: Sequence[Tensor], label: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of the dice, (batch, z_dim); ``label`` is one-hot, (batch, classes)."""
        h = torch.cat([down(maps[index]) for index, down in zip(self.read, self.down, strict=True)], 1)
        h = F.leaky_relu(self.mix(F.leaky_relu(h, 0.2)), 0.2).flatten(1)  # (batch, channels * 4 * 4)
        h = F.leaky_relu(self.hidden(h) + self.label(label), 0.2)
        mean, log_variance = self.out(h).chunk(2, 1)
        return mean, log_variance.clamp(-8, 2)

    @torch.no_grad()
    def fold(self, scales: Sequence[Tensor], shifts: Sequence[Tensor]) -> None:
        """Take each map as it is from now on, where so far it took ``scale * map + shift`` (in place).

        Args:
            scales: one for each map, broadcastable to (1, channels, 1, 1).
            shifts: likewise.
        """
        for index, down in zip(self.read, self.down, strict=True):
            assert isinstance(down, nn.Conv2d) and down.bias is not None
            down.bias += (down.weight * shifts[index]).sum((1, 2, 3))
            down.weight *= scales[index]


def write_encoder(folder: Path, encoder: DiceEncoder, *, features: str) -> None:
    """Write ``encoder.safetensors`` (float16) into a folder that is there; ``features`` names the measurer it reads."""
    header = {
        "schema": SCHEMA,
        "features": features,
        "widths": encoder.widths,
        "sizes": encoder.sizes,
        "classes": encoder.label.in_features,
        "z_dim": encoder.out.out_features // 2,
    }
    write_tensors(folder / ENCODER, {name: each.half() for name, each in encoder.state_dict().items()}, header)


def load_encoder(folder: Path) -> tuple[DiceEncoder, str]:
    """Load what `write_encoder` wrote.

    Returns:
        The encoder, frozen, and the name of the measurer whose feature maps it reads.

    Raises:
        BadInput: the folder has no encoder.
        BrokenFile: it is corrupted or of a newer schema.
    """
    tensors, header = read_tensors(folder / ENCODER)
    try:
        if header["schema"] > SCHEMA:
            raise BrokenFile(f"'{folder / ENCODER}' has schema {header['schema']}; update latent-steer to read it")
        encoder = DiceEncoder(header["widths"], header["sizes"], header["classes"], header["z_dim"])
        encoder.load_state_dict({name: each.float() for name, each in tensors.items()})
        return encoder.eval().requires_grad_(False), str(header["features"])
    except (KeyError, TypeError, IndexError, RuntimeError) as error:
        raise BrokenFile(f"'{folder / ENCODER}' is no encoder of a BigGAN ({error}); fetch or make it again") from error
