"""Models that others have published: fetched by name, and known by their files."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from steer.errors import BadInput

HUB = "the Hugging Face hub"
_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")

_DIFFUSERS_FILES = ("model_index.json", "scheduler/scheduler_config.json", "scheduler_config.json")
_BIGGAN_DEEP_KEYS = frozenset({"attention_layer_position", "channel_width", "n_stats"})

_SETTINGS = "*.json"
_WEIGHTS = ("unet/diffusion_pytorch_model", "diffusion_pytorch_model", "model", "pytorch_model", "weights", "knobs")


def foreign_kind(folder: Path) -> str | None:
    """Return the generator that reads a folder as another tool wrote it; None for any other folder.

    Known are the folders of diffusers, and published BigGAN-deep weights with their ``config.json``.
    """
    if any((folder / name).is_file() for name in _DIFFUSERS_FILES):
        return "ddim"
    return "biggan" if _settings(folder / "config.json").keys() >= _BIGGAN_DEEP_KEYS else None


def is_hub_name(name: str) -> bool:
    """Whether a text has the form of a published model's name, "owner/model"."""
    return _NAME.fullmatch(name) is not None


def fetch(name: str) -> Path:
    """Return the folder of a published model, fetched from the Hugging Face hub where it is not kept yet.

    Settings come first, so that what cannot be read here is refused before its weights are fetched; then the weights,
    as safetensors where there are any. Once fetched, a model is read from the cache of ``huggingface_hub``
    (``HF_HOME``) and needs no network.

    Args:
        name: "owner/model", such as "google/ddpm-cat-256".

    Raises:
        BadInput: there is no such model, it is none that can be read here, or neither network nor cache has it.
    """
    folder = _snapshot(name, [_SETTINGS])
    parts = _settings(folder / "model_index.json").keys() & {"vae", "text_encoder", "tokenizer"}
    if parts or (foreign_kind(folder) is None and "generator" not in _settings(folder / "config.json")):
        why = f"it comes with a {min(parts)}" if parts else "its settings are of another kind"
        raise BadInput(
            f"'{name}' cannot be steered here ({why}); what can is BigGAN-deep, unconditional diffusion models of RGB "
            "pictures in the layout of diffusers, and what this toolkit trains"
        )
    for suffix in ("safetensors", "bin"):
        _snapshot(name, [_SETTINGS, *(f"{weights}.{suffix}" for weights in _WEIGHTS)])
        if any(folder.rglob(f"*.{suffix}")):
            break
    return folder


def _settings(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds; nothing where there is no such file, or it is no table."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _snapshot(name: str, files: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(files)))
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise BadInput(
            f"there is neither a folder '{name}' nor a model of that name on {HUB} that may be read; look it up there"
        ) from error
    except LocalEntryNotFoundError as error:
        raise BadInput(
            f"there is no folder '{name}', and {HUB}, where it may be a model, cannot be reached; connect once to "
            "fetch it, or give a folder or one of the names in 'steer list generators'"
        ) from error
    except OSError as error:
        raise BadInput(
            f"'{name}' could not be fetched from {HUB} ({str(error).partition(chr(10))[0]}); try again"
        ) from error
