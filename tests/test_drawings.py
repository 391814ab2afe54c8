"""Sketches and layouts of birds: what a person could have drawn, of the same bird."""

from pathlib import Path

import torch

from steer.generators.aviary.drawings import LAYOUT_COLOURS, drawings, layout_pictures, sketch_pictures
from steer.generators.aviary.factors import sample_factors
from steer.generators.aviary.renderer import render_all

BIRDS = sample_factors(seeds=range(3))


def test_a_layout_has_the_colours_of_the_parts_and_nothing_else() -> None:
    layout = layout_pictures(BIRDS, 32)
    seen = {tuple(pixel) for pixel in layout.permute(0, 2, 3, 1).flatten(0, 2).tolist()}
    assert seen <= set(LAYOUT_COLOURS.values())
    assert {LAYOUT_COLOURS[part] for part in ("background", "body", "head", "wing")} <= seen
    assert len(set(LAYOUT_COLOURS.values())) == len(LAYOUT_COLOURS)


def test_drawings_show_the_bird_where_it_is() -> None:
    mask = render_all(BIRDS, 64).mask[:, 0] > 0.5
    painted = (layout_pictures(BIRDS) != 255).any(1)
    both, either = (painted & mask).sum(), (painted | mask).sum()
    assert float(both / either) > 0.9
    ink = sketch_pictures(BIRDS)[:, 0] < 128
    near = torch.nn.functional.max_pool2d(mask.float()[:, None], 5, 1, 2)[:, 0] > 0
    assert ink.flatten(1).any(1).all()
    assert float((ink & near).sum() / ink.sum()) > 0.98


def test_a_sketch_is_ink_on_white_paper() -> None:
    sketch = sketch_pictures(BIRDS)
    assert sketch.dtype == torch.uint8
    assert torch.equal(sketch[:, 0], sketch[:, 1])
    assert (sketch[:, :, 0] == 255).all()
    assert float((sketch < 128).float().mean()) < 0.2


def test_drawings_are_kept_and_drawn_again_where_they_are_broken(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    first = drawings(BIRDS, size=16, cache=tmp_path, progress=lambda done, whole: told.append((done, whole)))
    assert told == [(3, 3)]
    again = drawings(BIRDS, size=16, cache=tmp_path, progress=lambda done, whole: told.append((done, whole)))
    assert told == [(3, 3)]
    (path,) = tmp_path.iterdir()
    path.unlink()  # what was read is still mapped from it
    path.write_bytes(b"broken")
    once_more = drawings(BIRDS, size=16, cache=tmp_path)
    for name in ("sketch", "layout"):
        assert first[name].shape == (3, 3, 16, 16)
        assert torch.equal(first[name], again[name])
        assert torch.equal(first[name], once_more[name])
