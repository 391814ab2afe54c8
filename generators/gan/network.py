"""The network of BigGAN-deep and of its plain sibling, at any size.

After Brock, Donahue & Simonyan (2019), arXiv 1809.11096, and the shapes of the published BigGAN-deep weights.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steer.errors import BadInput

Activate = Callable[[Tensor, int], Tensor]
"""Normalises, modulates and rectifies the activations in front of one norm of a block, given its number."""

Normalise = Callable[[Tensor, Tensor, Tensor], Tensor]
"""The same for any norm, given activations, gain and shift."""

START = 4
"""Height and width of the first feature map, in pixels."""


@dataclass(frozen=True)
class BlockShape:
    """One residual block.

    Attributes:
        inputs: channels that come in.
        outputs: channels that go out.
        upsample: whether it doubles height and width.
        attention: whether self-attention runs in front of it.
    """

    inputs: int
    outputs: int
    upsample: bool = True
    attention: bool = False


@dataclass(frozen=True)
class BigGANConfig:
    """The shape of a BigGAN, from the aviary's to the published ones.

    Attributes:
        blocks: its residual blocks, coarse before fine.
        labels: the name of each class.
        z_dim: number of dice.
        class_dim: width of a class embedding.
        kind: "deep" (bottleneck blocks of four convolutions) or "plain" (blocks of two).
        bottleneck: by how much a deep block narrows inside.
        eps: added to variances before the root.
        statistics: rows in the tables of batch-norm statistics; row i is for truncation i / (rows - 1).
        interpolation: how truncations between two rows are read: "linear", or "hf", which is bit-compatible with
            pytorch-pretrained-BigGAN, where the two weights are swapped.
        dice: how z is drawn at truncation 1.
    """

    blocks: tuple[BlockShape, ...]
    labels: tuple[str, ...]
    z_dim: int = 128
    class_dim: int = 128
    kind: Literal["deep", "plain"] = "deep"
    bottleneck: int = 4
    eps: float = 1e-4
    statistics: int = 51
    interpolation: Literal["linear", "hf"] = "linear"
    dice: Literal["normal", "truncated_normal"] = "normal"

    @property
    def resolution(self) -> int:
        """Height and width of the pictures, in pixels."""
        return START * 2 ** sum(block.upsample for block in self.blocks)

    def norms(self, block: BlockShape) -> tuple[int, ...]:
        """Return the channels of each conditional batch norm of a block."""
        if self.kind == "plain":
            return (block.inputs, block.outputs)
        return (block.inputs, *(block.inputs // self.bottleneck,) * 3)


class NormaliseModulate(torch.autograd.Function):
    """Batch-normalise, modulate each sample by its own gain and shift, and rectify; half the passes of autograd.

    Sums over the pixels of each sample give every gradient, so the activations are read as seldom as can be.
    """

    @staticmethod
    def forward(ctx, h: Tensor, gain: Tensor, shift: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[no-untyped-def]
        """Return the activations, and each channel's mean and inverse deviation in this batch."""
        normal, mean, inverse = torch.native_batch_norm(h, None, None, None, None, True, 0.0, eps)
        active = torch.addcmul(shift[..., None, None], normal, gain[..., None, None]).relu_()
        ctx.save_for_backward(normal, active, gain, inverse)
        ctx.mark_non_differentiable(mean, inverse)
        return active, mean, inverse

    @staticmethod
    def backward(ctx, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # type: ignore[no-untyped-def]
        """Return the gradients of activations, gain and shift."""
        normal, active, gain, inverse = ctx.saved_tensors
        gradient = torch.ops.aten.threshold_backward(gradient, active, 0)
        by_shift = gradient.sum((2, 3))
        by_gain = (gradient * normal).sum((2, 3))
        count = normal.numel() / normal.shape[1]
        mean = (gain * by_shift).sum(0) / count * inverse
        slope = (gain * by_gain).sum(0) / count * inverse
        result = torch.addcmul(-mean[:, None, None], normal, -slope[:, None, None])
        return result.addcmul_(gradient, (gain * inverse)[..., None, None]), by_gain, by_shift, None


class DoublingConvolution(nn.Conv2d):
    """A 3×3 convolution of the map doubled by nearest neighbours, as one transposed 4×4 convolution.

    Each output pixel sees only 2×2 different inputs, so 4 products do the work of 9.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        # Taps a, b, c of the kernel on doubled pixels are c, b + c, a + b, a on the pixels themselves.
        taps = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
        self.register_buffer("taps", taps, persistent=False)
        self.folded: Tensor | None = None

    def kernel(self) -> Tensor:
        """Return the transposed kernel, (inputs, outputs, 4, 4)."""
        wide: Tensor = self.taps @ self.weight @ self.taps.T  # type: ignore[operator]
        return wide.transpose(0, 1).contiguous(memory_format=torch.channels_last)

    def forward(self, h: Tensor) -> Tensor:
        """Map (batch, inputs, height, width) to (batch, outputs, 2 height, 2 width)."""
        kernel = self.kernel() if self.folded is None else self.folded
        return F.conv_transpose2d(h, kernel, self.bias, stride=2, padding=1)


def double(h: Tensor) -> Tensor:
    """Double height and width by nearest neighbours."""
    return F.interpolate(h, scale_factor=2.0, mode="nearest")


class DeepBlock(nn.Module):
    """A bottleneck block: 1×1, 3×3, 3×3, 1×1; its skip keeps the first channels."""

    def __init__(self, shape: BlockShape, bottleneck: int) -> None:
        super().__init__()
        middle = shape.inputs // bottleneck
        self.shape = shape
        self.conv_0 = nn.Conv2d(shape.inputs, middle, 1)
        self.conv_1 = DoublingConvolution(middle, middle) if shape.upsample else nn.Conv2d(middle, middle, 3, padding=1)
        self.conv_2 = nn.Conv2d(middle, middle, 3, padding=1)
        self.conv_3 = nn.Conv2d(middle, shape.outputs, 1)

    def forward(self, h: Tensor, activate: Activate) -> Tensor:
        """Map (batch, inputs, height, width) to (batch, outputs, ...)."""
        skip = h[:, : self.shape.outputs]
        h = self.conv_0(activate(h, 0))
        h = self.conv_1(activate(h, 1))
        h = self.conv_2(activate(h, 2))
        h = self.conv_3(activate(h, 3))
        return h + (double(skip) if self.shape.upsample else skip)


class PlainBlock(nn.Module):
    """A block of two 3×3 convolutions; its skip is a 1×1 convolution."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        kind = DoublingConvolution if shape.upsample else lambda i, o: nn.Conv2d(i, o, 3, padding=1)
        self.shape = shape
        self.conv_0 = kind(shape.inputs, shape.outputs)
        self.conv_1 = nn.Conv2d(shape.outputs, shape.outputs, 3, padding=1)
        self.skip = nn.Conv2d(shape.inputs, shape.outputs, 1, bias=False)

    def forward(self, h: Tensor, activate: Activate) -> Tensor:
        """Map (batch, inputs, height, width) to (batch, outputs, ...)."""
        skip = self.skip(h)
        h = self.conv_0(activate(h, 0))
        h = self.conv_1(activate(h, 1))
        return h + (double(skip) if self.shape.upsample else skip)


class SelfAttention(nn.Module):
    """Self-attention over the pixels of a map, keys and values pooled by 2; after Zhang et al. (2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.theta = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.phi = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.g = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.out = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, h: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to itself plus what its pixels attend to."""
        query = self.theta(h).flatten(2).transpose(1, 2)  # (batch, pixels, channels / 8)
        key = F.max_pool2d(self.phi(h), 2).flatten(2).transpose(1, 2)  # (batch, pixels / 4, channels / 8)
        value = F.max_pool2d(self.g(h), 2).flatten(2).transpose(1, 2)  # (batch, pixels / 4, channels / 2)
        attended = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        attended = attended.transpose(1, 2).reshape(len(h), -1, *h.shape[2:])
        return h + self.gamma * self.out(attended)


class BigGANNetwork(nn.Module):
    """The network: dice and a class embedding in, a picture out.

    All conditional gains come from one matrix, ``modulation``; its rows are, block after block, the gains of the
    block's norms and then their shifts. The tables ``means`` and ``variances`` hold the batch-norm statistics of
    all norms side by side, the final one last.

    Args:
        config: its shape.
    """

    means: Tensor
    variances: Tensor

    def __init__(self, config: BigGANConfig) -> None:
        super().__init__()
        self.config = config
        self.widths = [config.norms(block) for block in config.blocks]
        self.totals = [sum(widths) for widths in self.widths]
        self.starts = [sum(self.totals[:index]) for index in range(len(self.totals))]
        total, first, last = sum(self.totals), config.blocks[0].inputs, config.blocks[-1].outputs
        given = config.z_dim + config.class_dim
        self.embedding = nn.Parameter(torch.randn(len(config.labels), config.class_dim))
        self.first = nn.Linear(given, START * START * first)
        self.modulation = nn.Linear(given, 2 * total, bias=False)
        self.attention = nn.ModuleDict(
            {str(index): SelfAttention(block.inputs) for index, block in enumerate(config.blocks) if block.attention}
        )
        self.blocks = nn.ModuleList(
            DeepBlock(block, config.bottleneck) if config.kind == "deep" else PlainBlock(block)
            for block in config.blocks
        )
        self.final_gain = nn.Parameter(torch.ones(last))
        self.final_shift = nn.Parameter(torch.zeros(last))
        self.to_rgb = nn.Conv2d(last, 3, 3, padding=1)
        self.register_buffer("means", torch.zeros(config.statistics, total + last))
        self.register_buffer("variances", torch.ones(config.statistics, total + last))

    def initialise(self) -> None:
        """Draw fresh weights for training: orthogonal, small where they only modulate (in place)."""
        for name, parameter in self.named_parameters():
            if parameter.dim() >= 2 and name != "embedding":
                nn.init.orthogonal_(parameter, 0.3 if name.startswith("modulation") else 1.0)

    def start(self, given: Tensor) -> Tensor:
        """Map dice and class, (batch, z_dim + class_dim), to the first map, (batch, channels, 4, 4)."""
        flat = self.first(given).unflatten(1, (START, START, -1))  # rows, columns, channels, as published
        return flat.permute(0, 3, 1, 2)

    def modulating(self, index: int) -> slice:
        """Return where one block's part of the modulation of all stands: its gains, less one, and its shifts."""
        begin = 2 * self.starts[index]
        return slice(begin, begin + 2 * self.totals[index])

    def modulate(self, index: int, given: Tensor) -> Tensor:
        """Return the modulation of one block, (batch, 2 * channels of its norms)."""
        return F.linear(given, self.modulation.weight[self.modulating(index)])

    def block(self, h: Tensor, index: int, gain: Tensor, shift: Tensor, normalise: Normalise) -> Tensor:
        """Run a block, and the attention in front of it if it has one.

        Args:
            h: the map that comes in.
            index: the block's number.
            gain: those of all its norms side by side, (batch, channels of its norms).
            shift: likewise.
            normalise: what each of them is given to.
        """
        widths = self.widths[index]
        pairs = list(zip(gain.split(widths, 1), shift.split(widths, 1), strict=True))
        if str(index) in self.attention:
            h = self.attention[str(index)](h)
        return self.blocks[index](h, lambda h, norm: normalise(h, *pairs[norm]))

    def fold(self) -> None:
        """Keep the kernels of the doubling convolutions ready; for weights that no longer change."""
        for module in self.modules():
            if isinstance(module, DoublingConvolution):
                module.folded = module.kernel().detach()

    def statistics(self, truncation: float) -> tuple[Tensor, Tensor]:
        """Return mean and variance of every norm at a truncation, (channels of all norms).

        Raises:
            BadInput: the truncation is not in (0, 1].
        """
        rows = self.config.statistics
        if not 0 < truncation <= 1:
            raise BadInput(f"truncation is above 0 and at most 1, not {truncation}")
        if self.config.interpolation == "hf":
            fraction, whole = math.modf(truncation / (1.0 / (rows - 1)))
            low, weight = int(whole), 1 - fraction if fraction else 0.0
        else:
            position = truncation * (rows - 1)
            low = int(position + 1e-6)
            weight = max(position - low, 0.0)
        high = min(low + 1, rows - 1)
        return (
            torch.lerp(self.means[low], self.means[high], weight),
            torch.lerp(self.variances[low], self.variances[high], weight),
        )

    def finish(self, h: Tensor, gain: Tensor, shift: Tensor, normalise: Normalise) -> Tensor:
        """Map the last map to a picture, (batch, 3, height, width) in [-1, 1]; the rest is as in `block`."""
        return torch.tanh(self.to_rgb(normalise(h, gain, shift)))

    def forward(self, z: Tensor, classes: Tensor, seen: list[tuple[Tensor, Tensor]] | None = None) -> Tensor:
        """Make pictures with the statistics of this very batch, as in training.

        Args:
            z: dice, (batch, z_dim).
            classes: class embeddings, (batch, class_dim).
            seen: where to put each norm's mean and inverse deviation in this batch, in the tables' order.

        Returns:
            (batch, 3, height, width) in [-1, 1].
        """
        given = torch.cat([z, classes], 1)
        batch = len(z)

        def normalise(h: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
            active, mean, inverse = NormaliseModulate.apply(h, gain, shift, self.config.eps)
            if seen is not None:
                seen.append((mean, inverse))
            return active

        h = self.start(given).contiguous(memory_format=torch.channels_last)
        modulation = self.modulation(given)
        for index in range(len(self.blocks)):
            gain, shift = modulation[:, self.modulating(index)].chunk(2, 1)
            h = self.block(h, index, 1 + gain, shift, normalise)
        return self.finish(h, self.final_gain.expand(batch, -1), self.final_shift.expand(batch, -1), normalise)
