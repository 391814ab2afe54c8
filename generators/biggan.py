"""BigGAN-deep and its plain sibling as a back end, at any size, steered block by block."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from steer.backend import Condition, Sampler, Stage, State, SteeringCall
from steer.errors import BadInput, BrokenFile, UnknownName
from steer.files import read_weights, write_tensors, write_text
from steer.generators.channels_last import channels_last
from steer.generators.gan.network import START, BigGANConfig, BigGANNetwork, BlockShape
from steer.generators.gan.published import read_published
from steer.hub import foreign_kind
from steer.inversion import Found
from steer.knob import KnobSet, load_knobs
from steer.latent import Latent
from steer.progress import Progress
from steer.seeds import draw_normal, draw_truncated_normal, stream
from steer.space import Space

GENERATOR, SCHEMA = "biggan", 1
CONFIG, WEIGHTS, KNOBS = "config.json", "weights.safetensors", "knobs.safetensors"


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
    samplers: Mapping[str, Sampler] = MappingProxyType({})

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
        return network.block(h, index, gain, shift, _affine)

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
        return (network.finish(h, gain[None], shift[None], _affine) + 1) / 2

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
            sampler: None: there is no choice of steps.
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
        from steer.generators.gan.inversion import invert

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


def load(folder: Path) -> BigGAN:
    """Load a BigGAN from a folder that `write_model` wrote, or of published BigGAN-deep weights.

    Raises:
        BadInput: the folder lacks a file.
        BrokenFile: the files are corrupted, of a newer schema, or do not fit each other.
    """
    if foreign_kind(folder) is not None:
        return BigGAN(read_published(folder), home=folder)
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
    weights = read_weights(folder / WEIGHTS)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise BrokenFile(f"'{folder / WEIGHTS}' does not fit '{path}' ({error}); fetch or make both again") from error
    return BigGAN(network, measurer=measurer, home=folder)
