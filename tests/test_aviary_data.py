from pathlib import Path

import pytest
import torch

from steer.errors import SteerError
from steer.generators.aviary.captions import COLOURS, caption
from steer.generators.aviary.data import cache_folder, dataset
from steer.generators.aviary.factors import FACTORS, SPECIES, Prior, sample_factors
from steer.generators.aviary.renderer import render_all


def test_a_set_holds_what_the_renderer_draws(tmp_path: Path) -> None:
    data = dataset(5, seed=3, size=32, cache=tmp_path)
    truth = render_all(data.factors, 32)
    assert data.pictures.dtype == data.masks.dtype == torch.uint8
    assert (data.pictures.float() / 255 - truth.picture).abs().max() < 0.003
    assert (data.masks.float() / 255 - truth.mask).abs().max() < 0.003


def test_a_set_is_drawn_once_and_then_read(tmp_path: Path) -> None:
    calls = []
    first = dataset(3, seed=3, size=16, cache=tmp_path, progress=lambda done, total: calls.append((done, total)))
    again = dataset(3, seed=3, size=16, cache=tmp_path, progress=lambda done, total: pytest.fail("drawn again"))
    assert calls == [(3, 3)] and torch.equal(first.pictures, again.pictures)
    assert all(torch.equal(first.factors[name], again.factors[name]) for name in FACTORS)


def test_another_seed_size_or_prior_is_another_set(tmp_path: Path) -> None:
    dataset(2, seed=3, size=16, cache=tmp_path)
    dataset(2, seed=4, size=16, cache=tmp_path)
    dataset(2, seed=3, size=8, cache=tmp_path)
    dataset(2, seed=3, size=16, cache=tmp_path, prior=Prior({"heading": (0, 90)}))
    assert len(list(tmp_path.iterdir())) == 4


def test_a_broken_cache_file_is_drawn_again(tmp_path: Path) -> None:
    first = dataset(2, seed=3, size=16, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert torch.equal(dataset(2, seed=3, size=16, cache=tmp_path).pictures, first.pictures)


def test_the_cache_folder_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STEER_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path


def test_an_empty_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SteerError, match="at least 1"):
        dataset(0, seed=0, cache=tmp_path)


FACTS = dict(
    species=SPECIES.index("heron"), hue=2.0, heading=268.0, tilt=0.0, size=0.63, x=0.0, y=0.0,
    background_hue=122.0, background_brightness=0.95, light=0.0,
)  # fmt: skip


def test_a_caption_says_what_is_seen() -> None:
    rng = torch.Generator().manual_seed(0)
    for text in {caption(FACTS, rng) for _ in range(60)}:
        assert "heron" in text and "green" in text and "left" in text
        assert any(word in text for word in COLOURS[0])
        assert any(word in text for word in ("small", "little", "tiny"))
        assert any(word in text for word in ("pale", "light", "bright"))
        assert "right" not in text.replace("bright", "")


def test_captions_come_in_many_phrasings() -> None:
    rng = torch.Generator().manual_seed(0)
    assert len({caption(FACTS, rng) for _ in range(120)}) > 60


def test_a_caption_repeats_under_the_same_generator() -> None:
    row = {name: values[0] for name, values in sample_factors(seeds=[5]).items()}
    assert caption(row, torch.Generator().manual_seed(1)) == caption(row, torch.Generator().manual_seed(1))
