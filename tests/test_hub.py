"""Published models are loaded by name: fetched once, and refused before their weights are where they cannot be read."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled
from huggingface_hub.utils import filter_repo_objects
from test_biggan import TINY_PUBLISHED, published_weights, write_published
from tiny_diffusion import write_unconditional

import steer
from steer.errors import BadInput, BrokenFile, SteerError
from steer.recipe import Recipe

CAT = "somebody/ddpm-cat"


class Hub:
    """A hub in a folder: each sub-folder of a sub-folder is a published model."""

    def __init__(self, published: Path, kept: Path) -> None:
        self.published, self.kept = published, kept
        self.online = True
        self.fetched: list[str] = []

    def snapshot_download(self, name: str, *, allow_patterns: Sequence[str]) -> str:
        """Copy the files that are asked for and not kept yet, as the function of that name does."""
        source, kept = self.published / name, self.kept / name
        if not self.online and not kept.is_dir():
            raise LocalEntryNotFoundError("no connection")
        files = [str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()]
        for file in filter_repo_objects(files, allow_patterns=list(allow_patterns)):
            if self.online and not (kept / file).is_file():
                (kept / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source / file, kept / file)
                self.fetched.append(file)
        return str(kept)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub(tmp_path / "hub", tmp_path / "kept")
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub.snapshot_download)
    return hub


def with_old_names(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return weights under the names that diffusers gave to attention until 2023."""
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for name, tensor in weights.items():
        for new, before in old.items():
            name = name.replace(f".{new}.", f".{before}.")
        renamed[name] = tensor
    return renamed


def test_a_diffusion_model_is_fetched_once_and_steered(hub: Hub) -> None:
    write_unconditional(hub.published / CAT)
    cat = steer.load_generator(CAT)
    assert cat.name == CAT
    assert "unet/diffusion_pytorch_model.safetensors" in hub.fetched
    hub.fetched.clear()
    hub.online = False
    again = steer.load_generator(CAT)
    assert again.fingerprint == cat.fingerprint and not hub.fetched
    recipe = Recipe.of(again, again.sample([3]), sampler=steer.Sampler(2))
    assert torch.equal(recipe.render(), cat.decode(cat.sample([3]), sampler=steer.Sampler(2)))


def test_older_names_and_pickled_tables_of_tensors_give_the_same_pictures(hub: Hub) -> None:
    from safetensors.torch import load_file

    write_unconditional(hub.published / CAT)
    old = hub.published / "somebody/old"
    shutil.copytree(hub.published / CAT, old)
    file = old / "unet" / "diffusion_pytorch_model.safetensors"
    weights = with_old_names(load_file(file))
    assert any("proj_attn" in name for name in weights)
    torch.save(weights, file.with_suffix(".bin"))
    file.unlink()
    cat, aged = (steer.load_generator(name) for name in (CAT, "somebody/old"))
    assert aged.fingerprint == cat.fingerprint


def test_weights_that_lack_a_tensor_are_refused(hub: Hub) -> None:
    from safetensors.torch import load_file, save_file

    write_unconditional(hub.published / CAT)
    file = hub.published / CAT / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights.pop("conv_in.bias")
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(BrokenFile, match="conv_in"):
        steer.load_generator(CAT)


def test_a_torn_file_of_weights_is_refused(hub: Hub) -> None:
    write_unconditional(hub.published / CAT)
    steer.load_generator(CAT)
    file = hub.kept / CAT / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(BrokenFile, match="fetch"):
        steer.load_generator(CAT)


def test_published_biggan_weights_are_loaded_by_name_and_from_their_folder(hub: Hub) -> None:
    folder = hub.published / "somebody/biggan-deep"
    folder.mkdir(parents=True)
    write_published(folder, published_weights(TINY_PUBLISHED))
    assert steer.load_generator("somebody/biggan-deep").fingerprint == steer.load_generator(folder).fingerprint
    assert "pytorch_model.bin" in hub.fetched


def test_what_cannot_be_steered_is_refused_before_its_weights_are_fetched(hub: Hub) -> None:
    folder = hub.published / "somebody/stable"
    (folder / "unet").mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps({"unet": [], "vae": [], "text_encoder": []}))
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"gigabytes")
    words = hub.published / "somebody/words"
    words.mkdir()
    (words / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    (words / "model.safetensors").write_bytes(b"gigabytes")
    for name in ("somebody/stable", "somebody/words"):
        with pytest.raises(BadInput, match="cannot be steered here"):
            steer.load_generator(name)
    assert all(file.endswith(".json") for file in hub.fetched)


def test_without_a_network_the_cure_is_named(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.online = False
    with pytest.raises(BadInput, match="cannot be reached"):
        steer.load_generator("somebody/never-fetched")

    def refuse(name: str, *, allow_patterns: Sequence[str]) -> str:
        raise OfflineModeIsEnabled("HF_HUB_OFFLINE is set")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(BadInput, match="HF_HUB_OFFLINE"):
        steer.load_generator("somebody/never-fetched")


@pytest.mark.parametrize("name", ["no such name", "a/b/c", "../weights", "/nowhere/weights"])
def test_what_is_no_name_of_a_model_is_not_asked_for(hub: Hub, name: str) -> None:
    hub.online = False
    with pytest.raises(SteerError, match="no generator named"):
        steer.load_generator(name)
