"""The denoising network: a U-Net of diffusers, told a level, words and a drawing, that can be looked into."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steer.generators.diffusion.words import TextEncoder, Vocabulary, pad

DRAWINGS: Mapping[str, float] = {"sketch": 1.0, "layout": -1.0}
"""The kinds of drawings a network can be shown, and what its last plane says for each."""

DRAWING_PLANES = 4
"""Red, green and blue of a drawing in [-1, 1], and a plane that says its kind; all 0 where there is none."""


def as_drawing(pictures: Tensor, kind: str) -> Tensor:
    """Return what a network is shown of drawings (batch, 3, height, width) in [0, 1]: (batch, 4, height, width)."""
    return torch.cat([2 * pictures - 1, torch.full_like(pictures[:, :1], DRAWINGS[kind])], 1)


@dataclass(frozen=True)
class NetworkConfig:
    """The shape of a denoising network, as JSON.

    Attributes:
        kind: the class of diffusers that does the work.
        unet: its arguments.
        resolution: height and width of its pictures, in pixels.
        fold: side of the pixel blocks that are folded into channels before the U-Net and unfolded after it.
        drawing: whether it can be shown a drawing.
        vocabulary: the words it knows; empty where it takes none.
        slots: rows of values that a prompt becomes.
        width: their width.
    """

    kind: Literal["UNet2DConditionModel", "UNet2DModel"]
    unet: Mapping[str, Any]
    resolution: int
    fold: int = 1
    drawing: bool = False
    vocabulary: tuple[str, ...] = ()
    slots: int = 8
    width: int = 128


class DenoisingNetwork(nn.Module):
    """Predicts from noisy pictures what a `steer.generators.diffusion.stepper.Stepper` needs.

    Args:
        config: its shape.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        import diffusers  # seconds to import

        self.config = config
        self.unet: Any = getattr(diffusers, config.kind)(**config.unet)
        self.vocabulary = Vocabulary(config.vocabulary)
        self.text = TextEncoder(self.vocabulary.size, config.width, config.slots) if config.vocabulary else None

    def forward(
        self, x: Tensor, level: Tensor | int, prompt: Tensor | None = None, drawing: Tensor | None = None
    ) -> Tensor:
        """Return the prediction for noisy pictures, of their shape.

        Args:
            x: (batch, 3, height, width); pictures lie in [-1, 1].
            level: noise level of all, or of each, (batch,).
            prompt: (batch, slots, width), for a network that knows words.
            drawing: (batch, 4, height, width), for a network that can be shown one.
        """
        fold, channels = self.config.fold, x.shape[1]
        seen = x if drawing is None else torch.cat([x, drawing], 1)
        h = F.pixel_unshuffle(seen, fold).contiguous(memory_format=torch.channels_last)
        told = {} if prompt is None else {"encoder_hidden_states": prompt}
        output: Tensor = self.unet(h, level, return_dict=False, **told)[0]
        # Some published networks predict a variance behind the rest; it is not used.
        return F.pixel_shuffle(output[:, : channels * fold**2], fold)

    def read(self, phrases: Sequence[str]) -> Tensor | None:
        """Return what the network is told by phrases, "" for nothing, (batch, slots, width); None without words."""
        if self.text is None:
            return None
        tokens = pad([self.vocabulary.tokens(phrase) for phrase in phrases])
        values: Tensor = self.text(tokens.to(self.text.queries.device))
        return values

    @property
    def bottleneck_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the values between encoder and decoder."""
        widths = tuple(self.config.unet["block_out_channels"])
        size = self.config.resolution // self.config.fold // 2 ** (len(widths) - 1)
        return widths[-1], size, size

    def open(self) -> "DenoisingNetwork":
        """Make the network ready to be looked into by `Passage`; do it once, after the weights are loaded."""
        self.unet.conv_in = _Kept(self.unet.conv_in)
        self.unet.down_blocks = nn.ModuleList(_Kept(block) for block in self.unet.down_blocks)
        self.unet.mid_block = _Bottleneck(self.unet.mid_block)
        return self


@contextmanager
def blindfolded(network: DenoisingNetwork, rows: Tensor) -> Iterator[None]:
    """Hide the coarse half of what the encoder hands straight to the decoder, so that the bottleneck must tell it.

    Where all of it is seen in all of a training, a decoder learns to pass over the bottleneck, and knobs in there do
    nothing.

    Args:
        network: the network, before `DenoisingNetwork.open`.
        rows: the rows of the batch in which it is hidden, (batch,) bool.
    """
    seen = ~rows[:, None, None, None]
    blocks = network.unet.down_blocks

    def hide(block: nn.Module, inputs: Any, outputs: tuple[Tensor, Sequence[Tensor]]) -> Any:
        h, skips = outputs
        return h, tuple(skip * seen for skip in skips)

    hooks = [block.register_forward_hook(hide) for block in blocks[len(blocks) // 2 :]]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


Change = Callable[[Tensor], Tensor]
"""From values in the bottleneck, (batch, channels, height, width), to those to go on with."""


@dataclass(eq=False)
class Passage:
    """Runs of an opened network on one input that differ in the bottleneck only: its encoder is run once.

    Attributes:
        network: the network, after `DenoisingNetwork.open`.
        inputs: what it is called with.
    """

    network: DenoisingNetwork
    inputs: tuple[Any, ...]
    kept: dict[nn.Module, Any] = field(default_factory=dict)
    change: Change | None = None

    def output(self, change: Change) -> Tensor:
        """Return the prediction with the values in the bottleneck changed."""
        self.change = change
        with _entered(self):
            return self.network(*self.inputs)


_PASSAGE: ContextVar[Passage | None] = ContextVar("passage", default=None)
"""The passage this thread is in: one network may serve several threads."""


@contextmanager
def _entered(passage: Passage) -> Iterator[None]:
    token = _PASSAGE.set(passage)
    try:
        yield
    finally:
        _PASSAGE.reset(token)


class _Kept(nn.Module):
    """Wraps a block so that it is run once in a passage and repeats its output afterwards."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def __getattr__(self, name: str) -> Any:
        """Answer for the block: diffusers asks its blocks whether they attend to words."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("block"), name)

    def forward(self, *args: Any, **options: Any) -> Any:
        passage = _PASSAGE.get()
        if passage is None:
            return self.block(*args, **options)
        if self not in passage.kept:
            passage.kept[self] = self.block(*args, **options)
        return passage.kept[self]


class _Bottleneck(_Kept):
    """Wraps the block between encoder and decoder, and passes on what the passage makes of its output."""

    def forward(self, *args: Any, **options: Any) -> Any:
        h, passage = super().forward(*args, **options), _PASSAGE.get()
        return h if passage is None or passage.change is None else passage.change(h)
