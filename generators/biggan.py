"""BigGAN-deep and its plain sibling: the network, at any size, steered block by block.

After Brock, Donahue & Simonyan (2019), arXiv 1809.11096, and the shapes of the published BigGAN-deep weights.
"""

import hashlib
import json
import math
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steer.backend import Condition, Sampler, Stage, State, SteeringCall
from steer.errors import BadInput, BrokenFile, UnknownName
from steer.files import read_tensors, write_tensors, write_text
from steer.inversion import Found
from steer.knob import KnobSet, load_knobs
from steer.latent import Latent
from steer.progress import Progress
from steer.seeds import draw_normal, draw_truncated_normal, stream
from steer.space import Space

Activate = Callable[[Tensor, int], Tensor]
"""Normalises, modulates and rectifies the activations in front of one norm of a block, given its number."""

GENERATOR, SCHEMA = "biggan", 1
CONFIG, WEIGHTS, KNOBS = "config.json", "weights.safetensors", "knobs.safetensors"
ENCODER = "encoder.safetensors"

START = 4
"""Height and width of the first feature map, in pixels."""

Network = TypeVar("Network", bound=nn.Module)


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


def channels_last(network: Network) -> Network:
    """Lay the kernels of a network out as the CPU convolves fastest (in place), and return it."""
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


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

    def block(self, h: Tensor, index: int, activate: Activate) -> Tensor:
        """Run a block, and the attention in front of it if it has one."""
        if str(index) in self.attention:
            h = self.attention[str(index)](h)
        return self.blocks[index](h, activate)

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

    def finish(self, h: Tensor, activate: Activate) -> Tensor:
        """Map the last map to a picture, (batch, 3, height, width) in [-1, 1]."""
        return torch.tanh(self.to_rgb(activate(h, 0)))

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
        for index, widths in enumerate(self.widths):
            gain, shift = modulation[:, self.modulating(index)].chunk(2, 1)
            pairs = list(zip((1 + gain).split(widths, 1), shift.split(widths, 1), strict=True))
            h = self.block(h, index, partial(_modulated, normalise, pairs))
        final = self.final_gain.expand(batch, -1), self.final_shift.expand(batch, -1)
        return self.finish(h, lambda h, _: normalise(h, *final))


def _modulated(
    normalise: Callable[[Tensor, Tensor, Tensor], Tensor], pairs: Sequence[tuple[Tensor, Tensor]], h: Tensor, norm: int
) -> Tensor:
    return normalise(h, *pairs[norm])


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
    def turn(self, matrix: Tensor, variance: Tensor) -> None:
        """Put out ``matrix @ mean`` from now on (in place).

        Args:
            matrix: (z_dim, z_dim).
            variance: (z_dim,) what the variances are on average; they follow as that does.
        """
        size = len(matrix)
        self.out.weight[:size] = matrix @ self.out.weight[:size]
        self.out.bias[:size] = matrix @ self.out.bias[:size]
        self.out.bias[size:] += ((matrix.square() @ variance) / variance).log()

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


class BigGAN:
    """A BigGAN as a generator back end.

    Spaces: ``z``, the dice, and ``class``, the class embedding, met anew in every stage, so that a window restricts a
    turn to some blocks; ``offsets``, what each stage adds to the dice, 0 but for inverted pictures; ``layer:0``, the
    map after the first linear layer, and ``layer:k``, the map after block k; ``modulation:k``, by how much block k
    amplifies (less one) and shifts each channel of its norms. Truncation scales the dice and chooses the batch-norm
    statistics by the same number, as in the published models.

    Args:
        network: the network, spectral norm folded in.
        measurer: the registered measurer that knows its pictures.
        home: the folder it was read from.
    """

    inversions: Mapping[str, Mapping[str, Any]] = MappingProxyType(
        {"encoder": {"descent": 0}, "dice": {"freedom": 0.0}, "dice and offsets": {}}
    )

    def __init__(self, network: BigGANNetwork, *, measurer: str = "picture", home: Path | None = None) -> None:
        config = network.config
        self.network = channels_last(network.eval().requires_grad_(False))
        self.network.fold()
        self.config, self.measurer, self.home = config, measurer, home
        self.fingerprint = fingerprint(network)
        self.picture_size = (config.resolution, config.resolution)
        self.conditions: Mapping[str, Condition] = {
            "label": Condition("label", "label", config.labels, "the class; drawn from the seed where not given")
        }
        self.spaces: Mapping[str, Space] = self._spaces()
        self._norms: dict[float, tuple[Tensor, Tensor]] = {}

    @property
    def _offsets(self) -> tuple[int, int]:
        return len(self.config.blocks) + 1, self.config.z_dim

    def _spaces(self) -> dict[str, Space]:
        config = self.config
        spaces = [
            Space("z", "input", (config.z_dim,), config.dice, "the dice, given to every block"),
            Space("class", "input", (config.class_dim,), "learned", "the class embedding, given to every block"),
            Space(
                "offsets", "input", self._offsets, "learned", "what each block adds to z; 0 but for inverted pictures"
            ),
            Space("layer:0", "inner", (config.blocks[0].inputs, START, START), "learned", "after the first layer"),
        ]
        size = START
        for index, block in enumerate(config.blocks, 1):
            size *= 2 if block.upsample else 1
            shape = (block.outputs, size, size)
            count = 2 * self.network.totals[index - 1]
            summary = f"gains, less one, and shifts of the norms in block {index}"
            spaces.append(Space(f"modulation:{index}", "inner", (count,), "learned", summary))
            spaces.append(Space(f"layer:{index}", "inner", shape, "learned", f"after block {index}"))
        return {space.name: space for space in spaces}

    def to(self, device: torch.device) -> "BigGAN":
        """Move to a device and return itself."""
        self.network.to(device)
        self.network.fold()
        self._norms.clear()
        return self

    def sample(
        self, seeds: Sequence[int], *, condition: Mapping[str, Sequence[str]], truncation: float = 1.0
    ) -> Latent:
        """Draw dice and classes; a class that is not asked for is drawn from the seed."""
        labels = self.config.labels
        draw = draw_normal if self.config.dice == "normal" else draw_truncated_normal
        names = tuple(condition.get("label") or (labels[self._throw_class(seed)] for seed in seeds))
        rows = [labels.index(name) for name in names]
        return Latent(
            values={
                "z": truncation * draw(seeds, "z", (self.config.z_dim,)),
                "class": self.network.embedding[rows].cpu(),
                "offsets": torch.zeros(len(seeds), *self._offsets),
            },
            condition={"label": names},
            seeds=tuple(seeds),
            truncation=truncation,
        )

    def _throw_class(self, seed: int) -> int:
        return int(torch.randint(len(self.config.labels), (), generator=stream(seed, "class")))

    def mix(self, weights: Mapping[str, float]) -> Tensor:
        """Return the embedding of a mixture of classes, (class_dim,), for the space ``class``.

        Raises:
            UnknownName: there is no such class.
        """
        for name in weights:
            if name not in self.config.labels:
                raise UnknownName("label", name, self.config.labels)
        rows = self.network.embedding[[self.config.labels.index(name) for name in weights]]
        return rows.new_tensor(list(weights.values())) @ rows

    def stages(self, latent: Latent, sampler: Sampler | None = None) -> Sequence[Stage]:
        """Return the first layer and the blocks, all of the same width."""
        count = len(self.config.blocks) + 1
        return [
            Stage(
                index=index,
                interval=(index / count, (index + 1) / count),
                spaces=frozenset(
                    {"z", "class", "offsets", f"modulation:{index}", f"layer:{index}"} & self.spaces.keys()
                ),
                name=f"block {index}" if index else "first layer",
            )
            for index in range(count)
        ]

    def begin(self, latent: Latent, sampler: Sampler | None = None) -> State:
        """Return dice and class, and the modulation of all blocks, made by one product."""
        given = torch.cat([latent["z"], latent["class"]], 1)
        tensors = {
            "z": latent["z"],
            "class": latent["class"],
            "offsets": latent["offsets"],
            "modulation": self.network.modulation(given),
            "stage": torch.zeros(len(latent), dtype=torch.long),
        }
        return State(tensors, latent.truncation)

    def advance(self, state: State, stage: Stage, steering: SteeringCall) -> State:
        """Run the first layer or a block."""
        z, classes = state.tensors["z"], state.tensors["class"]
        turned_z, turned_class = steering("z", stage, z), steering("class", stage, classes)
        offsets = steering("offsets", stage, state.tensors["offsets"])
        if offsets.requires_grad or bool(offsets.any()):
            turned_z = turned_z + offsets[:, stage.index]
        network, index = self.network, stage.index - 1
        given = torch.cat([turned_z, turned_class], 1)
        if stage.index == 0:
            h = network.start(given)
        else:
            turned = turned_z is not z or turned_class is not classes
            plain = state.tensors["modulation"][:, network.modulating(index)]
            modulation = network.modulate(index, given) if turned else plain
            modulation = steering(f"modulation:{stage.index}", stage, modulation)
            h = self._block(state.tensors["h"], index, modulation, state.truncation)
        h = steering(f"layer:{stage.index}", stage, h)
        after = torch.full((len(z),), stage.index + 1)
        return State({**state.tensors, "h": h, "stage": after}, state.truncation)

    def _block(self, h: Tensor, index: int, modulation: Tensor, truncation: float) -> Tensor:
        network = self.network
        gain, shift = modulation.chunk(2, 1)
        mean, inverse = self._statistics(truncation)
        begin = network.starts[index]
        part = slice(begin, begin + network.totals[index])
        gain = (1 + gain) * inverse[part]
        shift = shift - mean[part] * gain
        widths = network.widths[index]
        pairs = list(zip(gain.split(widths, 1), shift.split(widths, 1), strict=True))
        return network.block(h, index, partial(_modulated, _affine, pairs))

    def _statistics(self, truncation: float) -> tuple[Tensor, Tensor]:
        """Return mean and inverse deviation of all norms at a truncation; kept for the next call."""
        if truncation not in self._norms:
            mean, variance = self.network.statistics(truncation)
            self._norms[truncation] = mean, torch.rsqrt(variance + self.config.eps)
        return self._norms[truncation]

    def picture(self, state: State) -> Tensor:
        """Return the picture; of an unfinished state, what it would be if the rest of the blocks got dice of 0."""
        network, truncation = self.network, state.truncation
        stage, classes = int(state.tensors["stage"][0]), state.tensors["class"]
        given = torch.cat([torch.zeros_like(state.tensors["z"]), classes], 1)
        h = state.tensors["h"] if stage else network.start(given)
        for index in range(max(stage - 1, 0), len(network.blocks)):
            h = self._block(h, index, network.modulate(index, given), truncation)
        mean, inverse = (each[-len(network.final_gain) :] for each in self._statistics(truncation))
        gain = network.final_gain * inverse
        shift = network.final_shift - mean * gain
        picture = network.finish(h, lambda h, _: _affine(h, gain[None], shift[None]))
        return (picture + 1) / 2

    def invert(
        self,
        picture: Tensor,
        *,
        condition: Mapping[str, Sequence[str]],
        sampler: Sampler | None,
        progress: Progress | None,
        freedom: float = 0.3,
        descent: int = 160,
    ) -> Found:
        """Find dice, class and offsets whose picture is the one given, (1, 3, height, width) in [0, 1].

        Args:
            picture: of the generator's own size.
            condition: a label draws it with that class alone; else it may be a mixture of all.
            sampler: is not used.
            progress: called after every step.
            freedom: fidelity against editability: how far the dice of a block may depart from those of the whole, as
                root mean square in sigmas. At 0 the latent is one as seeds give, on which knobs do what was measured;
                more comes closer to the picture, and knobs become less sure.
            descent: how many steps down the unlikeness to take; 0 leaves the encoder's first guess.

        Returns:
            One row, and as details how far it lies from the dice that are drawn.

        Raises:
            BadInput: freedom or descent are below 0.
            BrokenFile: the encoder does not fit.
        """
        from steer.generators.biggan_inversion import invert

        (label,) = condition.get("label", [None])
        return invert(self, picture, label, freedom=freedom, descent=descent, progress=progress)

    def linear_map(self, observed: str, space: str) -> Tensor | None:
        """Return the exact matrix from dice or class to ``layer:0`` or a ``modulation:k``; nothing else is affine."""
        network, split = self.network, self.config.z_dim
        columns = {"z": slice(0, split), "class": slice(split, None)}.get(space)
        part, _, number = observed.partition(":")
        if columns is None or not (part == "modulation" or observed == "layer:0"):
            return None
        if part == "modulation":
            return network.modulation.weight[network.modulating(int(number) - 1), columns]
        rows = network.first.weight[:, columns].unflatten(0, (START * START, -1))
        return rows.transpose(0, 1).flatten(0, 1)  # (channels * rows * columns, space size)

    def shipped_knobs(self) -> KnobSet:
        """Return the knobs beside the weights; an empty set where there are none."""
        path = self.home / KNOBS if self.home else None
        return load_knobs(path) if path and path.is_file() else KnobSet({})


def _affine(h: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    return torch.addcmul(shift[..., None, None], h, gain[..., None, None]).relu_()


def fingerprint(network: BigGANNetwork) -> str:
    """Return a hash of a network's configuration and weights."""
    digest = hashlib.sha256(json.dumps(asdict(network.config), sort_keys=True).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def write_model(folder: Path, network: BigGANNetwork, *, measurer: str, dtype: torch.dtype = torch.float16) -> None:
    """Write ``config.json`` and ``weights.safetensors`` into a folder that is there."""
    weights = {name: tensor.to(dtype) for name, tensor in network.state_dict().items()}
    write_tensors(folder / WEIGHTS, weights, {"generator": GENERATOR, "schema": SCHEMA})
    config = {"generator": GENERATOR, "schema": SCHEMA, "measurer": measurer, "network": asdict(network.config)}
    write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")


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


def load(folder: Path | None) -> BigGAN:
    """Load a BigGAN from a folder that `write_model` or `convert_published` wrote.

    Raises:
        BadInput: there is no folder, or it lacks a file.
        BrokenFile: the files are corrupted, of a newer schema, or do not fit each other.
    """
    if folder is None:
        raise BadInput("'biggan' comes without weights; give a folder of a trained model, or load 'aviary-biggan'")
    path = folder / CONFIG
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        schema = stored["schema"]
        if schema > SCHEMA:
            raise BrokenFile(f"'{path}' has schema {schema}, this version reads up to {SCHEMA}; update latent-steer")
        shape = stored["network"]
        blocks = tuple(BlockShape(**block) for block in shape.pop("blocks"))
        config = BigGANConfig(blocks=blocks, labels=tuple(shape.pop("labels")), **shape)
        measurer = str(stored["measurer"])
        network = BigGANNetwork(config)
    except FileNotFoundError as error:
        raise BadInput(f"the folder '{folder}' has no config.json, so it is no generator") from error
    except (json.JSONDecodeError, KeyError, TypeError, ValueError, RuntimeError, UnicodeDecodeError) as error:
        raise BrokenFile(f"'{path}' is not the configuration of a BigGAN ({error}); fetch or make it again") from error
    tensors, _ = read_tensors(folder / WEIGHTS)
    try:
        network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except RuntimeError as error:
        raise BrokenFile(f"'{folder / WEIGHTS}' does not fit '{path}' ({error}); fetch or make both again") from error
    return BigGAN(network, measurer=measurer, home=folder)


PUBLISHED_FILES = ("model.safetensors", "pytorch_model.bin")


def convert_published(
    source: Path,
    out: Path,
    *,
    labels: Sequence[str] | None = None,
    interpolation: Literal["linear", "hf"] = "linear",
) -> Path:
    """Convert published BigGAN-deep weights, in the layout of pytorch-pretrained-BigGAN, to a model folder.

    Args:
        source: the folder with ``config.json`` and ``model.safetensors`` or ``pytorch_model.bin``, or either file of
            weights with its ``config.json`` beside it. A pickle is read with ``weights_only=True``.
        out: the folder to write; made where it is missing.
        labels: the names of the classes; numbers by default.
        interpolation: "hf" reads the statistics between two rows as that package does, which is the wrong way round.

    Returns:
        ``out``, for `steer.load_generator`.

    Raises:
        BadInput: the files are not there.
        BrokenFile: they are not such weights; every missing and every unknown tensor counts.
    """
    network = read_published(source, labels=labels, interpolation=interpolation)
    out.mkdir(parents=True, exist_ok=True)
    write_model(out, network, measurer="picture", dtype=torch.float32)
    return out


def read_published(
    source: Path, *, labels: Sequence[str] | None = None, interpolation: Literal["linear", "hf"] = "linear"
) -> BigGANNetwork:
    """Read published BigGAN-deep weights; arguments and errors as `convert_published`."""
    file = source
    if source.is_dir():
        file = next(
            (source / name for name in PUBLISHED_FILES if (source / name).is_file()), source / PUBLISHED_FILES[0]
        )
    path = file.parent / CONFIG
    if not file.is_file() or not path.is_file():
        raise BadInput(f"'{file.parent}' needs config.json and one of {', '.join(PUBLISHED_FILES)}")
    try:
        config = _published_config(json.loads(path.read_text(encoding="utf-8")), labels, interpolation)
    except (json.JSONDecodeError, KeyError, TypeError, ValueError, UnicodeDecodeError) as error:
        raise BrokenFile(f"'{path}' is not a BigGAN-deep configuration ({error}); fetch it again") from error
    network = BigGANNetwork(config)
    published = _Published(_read_weights(file), str(file))
    state: dict[str, Tensor] = {
        "embedding": published.take("embeddings.weight").T,
        "first.weight": published.normal("generator.gen_z"),
        "first.bias": published.take("generator.gen_z.bias"),
        "final_gain": published.take("generator.bn.weight"),
        "final_shift": published.take("generator.bn.bias"),
        "to_rgb.weight": published.normal("generator.conv_to_rgb")[:3],  # sigma is that of all 128 rows
        "to_rgb.bias": published.take("generator.conv_to_rgb.bias")[:3],
    }
    modulation, means, variances = [], [], []
    layer = 0
    for index, block in enumerate(config.blocks):
        if block.attention:
            key = f"generator.layers.{layer}"
            state[f"attention.{index}.gamma"] = published.take(f"{key}.gamma")
            for ours, theirs in (("theta", "theta"), ("phi", "phi"), ("g", "g"), ("out", "o_conv")):
                state[f"attention.{index}.{ours}.weight"] = published.normal(f"{key}.snconv1x1_{theirs}")
            layer += 1
        key = f"generator.layers.{layer}"
        norms = [f"{key}.bn_{number}" for number in range(4)]
        modulation += [published.normal(f"{norm}.{part}") for part in ("scale", "offset") for norm in norms]
        means += [published.take(f"{norm}.running_means") for norm in norms]
        variances += [published.take(f"{norm}.running_vars") for norm in norms]
        for number in range(4):
            state[f"blocks.{index}.conv_{number}.weight"] = published.normal(f"{key}.conv_{number}")
            state[f"blocks.{index}.conv_{number}.bias"] = published.take(f"{key}.conv_{number}.bias")
        layer += 1
    state["modulation.weight"] = torch.cat(modulation)
    state["means"] = torch.cat([*means, published.take("generator.bn.running_means")], 1)
    state["variances"] = torch.cat([*variances, published.take("generator.bn.running_vars")], 1)
    published.finish()
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise BrokenFile(f"'{file}' does not fit '{path}' ({error}); fetch both again") from error
    return network


def _published_config(
    stored: Mapping[str, Any], labels: Sequence[str] | None, interpolation: Literal["linear", "hf"]
) -> BigGANConfig:
    width, classes = int(stored["channel_width"]), int(stored["num_classes"])
    names = tuple(labels) if labels is not None else tuple(f"class {number}" for number in range(classes))
    if len(names) != classes:
        raise BadInput(f"the weights know {classes} classes, {len(names)} labels were given")
    return BigGANConfig(
        blocks=tuple(
            BlockShape(width * int(inputs), width * int(outputs), bool(up), index == stored["attention_layer_position"])
            for index, (up, inputs, outputs) in enumerate(stored["layers"])
        ),
        labels=names,
        z_dim=int(stored["z_dim"]),
        class_dim=int(stored["z_dim"]),  # class_embed_dim is there, but the published network does not read it
        eps=float(stored["eps"]),
        statistics=int(stored["n_stats"]),
        interpolation=interpolation,
        dice="truncated_normal",
    )


def _read_weights(file: Path) -> dict[str, Tensor]:
    if file.suffix == ".safetensors":
        return read_tensors(file)[0]
    try:
        weights = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise BrokenFile(f"'{file}' is not a whole file of weights ({error}); fetch it again") from error
    if not (isinstance(weights, dict) and all(isinstance(each, Tensor) for each in weights.values())):
        raise BrokenFile(f"'{file}' holds no table of tensors; fetch the published weights again")
    return weights


class _Published:
    """Published tensors, each to be taken once."""

    def __init__(self, tensors: Mapping[str, Tensor], name: str) -> None:
        # Both ways in which torch has stored spectral norm.
        renamed = (
            ("parametrizations.weight.original", "weight_orig"),
            ("parametrizations.weight.0._u", "weight_u"),
            ("parametrizations.weight.0._v", "weight_v"),
        )
        self.tensors: dict[str, Tensor] = {}
        self.name = name
        for key, tensor in tensors.items():
            for new, old in renamed:
                key = key.replace(new, old)
            self.tensors[key] = tensor.float()

    def take(self, key: str) -> Tensor:
        if key not in self.tensors:
            raise BrokenFile(f"'{self.name}' lacks the tensor '{key}'; fetch the published weights again")
        return self.tensors.pop(key)

    def normal(self, key: str) -> Tensor:
        """Return a weight divided by its spectral norm, by the stored vectors: the published pictures need them."""
        weight, u, v = (self.take(f"{key}.weight_{part}") for part in ("orig", "u", "v"))
        if u.shape != weight.shape[:1] or v.numel() * len(u) != weight.numel():
            raise BrokenFile(
                f"the spectral norm of '{key}' in '{self.name}' has the wrong shape; fetch the weights again"
            )
        return weight / torch.dot(u, weight.flatten(1) @ v)

    def finish(self) -> None:
        if self.tensors:
            some = ", ".join(sorted(self.tensors)[:3])
            raise BrokenFile(
                f"'{self.name}' has {len(self.tensors)} tensors that this BigGAN-deep does not know ({some}); "
                "give the config.json that belongs to it"
            )
