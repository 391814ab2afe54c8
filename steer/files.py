"""Files: written under a temporary name and renamed; safetensors and JSON only."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from steer.errors import BadInput, BrokenFile

PICKLE_SUFFIXES = frozenset({".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib"})
HEADER_KEY = "latent_steer"


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that becomes ``path`` when the block succeeds.

    Raises:
        BadInput: the folder does not exist or cannot be written, or ``path`` is a folder.
    """
    path = Path(path)
    folder = path.parent
    if not folder.is_dir():
        raise BadInput(f"the folder '{folder}' for '{path.name}' does not exist; make it first: mkdir -p '{folder}'")
    if path.is_dir():
        raise BadInput(f"'{path}' is a folder; give a file name inside it")
    temporary = folder / f".{path.stem}-{uuid4().hex[:8]}{path.suffix}"
    try:
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise BadInput(f"cannot write into '{folder}' ({error.strerror}); choose another folder") from error
    mode = temporary.stat().st_mode
    try:
        yield temporary
        temporary.chmod(mode)  # some writers make their file anew, readable by nobody else
        os.replace(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def check_file(path: Path) -> None:
    """Check that there is a file to read.

    Raises:
        BadInput: there is none, or a folder in its place.
    """
    if path.is_dir():
        raise BadInput(f"'{path}' is a folder; give a file inside it")
    if not path.is_file():
        raise BadInput(f"there is no file '{path}'")


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write tensors with a JSON header as one safetensors file, whole or not at all."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        stored = {**header, "digest": _digest(contiguous)}
        save_file(contiguous, temporary, metadata={HEADER_KEY: json.dumps(stored, sort_keys=True)})


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote.

    Returns:
        The tensors by name, and the JSON header (empty where the file has none).

    Raises:
        BadInput: there is no such file, or it is a pickle.
        BrokenFile: it is not a whole safetensors file, or its numbers are not those that were written.
    """
    path = Path(path)
    if path.suffix in PICKLE_SUFFIXES:
        raise BadInput(f"'{path}' is a pickle, which can run code when it is read; convert it to safetensors first")
    check_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(HEADER_KEY, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise BrokenFile(f"'{path}' is not a whole safetensors file ({error}); fetch or make it again") from error
    if header.pop("digest", None) not in (None, _digest(tensors)):
        raise BrokenFile(f"'{path}' is damaged: its numbers are not those that were written; fetch or make it again")
    return tensors, header


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the weights of a network, as float32 by name.

    Raises:
        BadInput: they are not there.
        BrokenFile: they are not whole.
    """
    if not path.is_file():
        raise BadInput(f"the weights '{path}' are missing; fetch or train the model again")
    return {name: tensor.float() for name, tensor in read_tensors(path)[0].items()}


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Return a hash of names and numbers."""
    digest = blake2b(digest_size=16)
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
