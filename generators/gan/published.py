"""Published BigGAN-deep weights, in the layout of pytorch-pretrained-BigGAN, made readable here."""

import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from steer.errors import BadInput, BrokenFile
from steer.files import read_tensors
from steer.generators.gan.network import BigGANConfig, BigGANNetwork, BlockShape

_FILES = ("model.safetensors", "pytorch_model.bin")


def read_published(folder: Path, *, interpolation: Literal["linear", "hf"] = "linear") -> BigGANNetwork:
    """Read published BigGAN-deep weights.

    Args:
        folder: with ``config.json`` and ``model.safetensors`` or ``pytorch_model.bin``, which is read with
            ``weights_only=True``; the names of the classes stand in ``labels.json``, or are numbers.
        interpolation: "hf" reads the statistics between two rows as that package does, which is the wrong way round.

    Raises:
        BadInput: the files are not there.
        BrokenFile: they are not such weights; every missing and every unknown tensor counts.
    """
    path, names = folder / "config.json", folder / "labels.json"
    file = next((folder / name for name in _FILES if (folder / name).is_file()), None)
    if file is None or not path.is_file():
        raise BadInput(f"'{folder}' needs config.json and one of {', '.join(_FILES)}; fetch them again")
    try:
        labels = json.loads(names.read_text(encoding="utf-8")) if names.is_file() else None
        config = _published_config(json.loads(path.read_text(encoding="utf-8")), labels, interpolation)
    except (json.JSONDecodeError, KeyError, TypeError, ValueError, UnicodeDecodeError) as error:
        raise BrokenFile(f"'{path}' is not a BigGAN-deep configuration ({error}); fetch it again") from error
    network = BigGANNetwork(config)
    published = _Published(_read_weights(file), str(file))
    state = _renamed(published, config)
    published.finish()
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise BrokenFile(f"'{file}' does not fit '{path}' ({error}); fetch both again") from error
    return network


def _renamed(published: "_Published", config: BigGANConfig) -> dict[str, Tensor]:
    """Return the published tensors under our names; attention stands as a layer of its own in front of its block."""
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
    return state


def _published_config(
    stored: Mapping[str, Any], labels: Sequence[str] | None, interpolation: Literal["linear", "hf"]
) -> BigGANConfig:
    width, classes = int(stored["channel_width"]), int(stored["num_classes"])
    names = tuple(labels) if labels is not None else tuple(f"class {number}" for number in range(classes))
    if len(names) != classes:
        raise ValueError(f"the weights know {classes} classes, labels.json has {len(names)}")
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
