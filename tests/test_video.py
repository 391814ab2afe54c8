"""Films, read back by a library that did not write them where there is one."""

import gc
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

from steer.errors import BadInput, BrokenFile, Cancelled, MissingPart
from steer.pictures import read_recipe_text
from steer.video import VIDEO_SUFFIXES, write_video

RECIPE = '{"generator": "aviary", "walk": {"note": "Rötel − σ 鳥"}}'
SUFFIXES = sorted(VIDEO_SUFFIXES)
COLORS = [(220, 40, 40), (40, 220, 40), (40, 40, 220), (250, 249, 246), (128, 128, 128), (200, 170, 20)]


def patches(height: int = 64, width: int = 96) -> np.ndarray:
    """Return one frame of flat patches of color, each 32 pixels wide."""
    frame = np.zeros((height, width, 3), np.uint8)
    for index, color in enumerate(COLORS):
        row, column = divmod(index, 3)
        frame[row * 32 :, column * 32 :] = color
    return frame


def film(count: int = 12, height: int = 64, width: int = 96) -> Iterator[np.ndarray]:
    """Yield frames that grow brighter, one by one."""
    for number in range(count):
        yield np.full((height, width, 3), 20 * number % 256, np.uint8)


@pytest.fixture
def mp4(tmp_path: Path) -> Path:
    """Return the path of a film of odd size, with a recipe inside."""
    path = tmp_path / "walk.mp4"
    write_video((patches(63, 95) for _ in range(7)), path, fps=24, recipe_json=RECIPE)
    return path


def test_an_mp4_is_what_browsers_play(mp4: Path) -> None:
    import av

    with av.open(str(mp4)) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context
        assert (codec.name, codec.pix_fmt, float(stream.average_rate or 0)) == ("h264", "yuv420p", 24.0)
        assert (codec.width, codec.height) == (96, 64), "odd sides grow by one"
        assert sum(1 for _ in container.decode(stream)) == 7


def test_an_mp4_says_that_its_colors_are_bt709(mp4: Path) -> None:
    import av

    with av.open(str(mp4)) as container:
        codec = container.streams.video[0].codec_context
        tags = (codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range)
    assert tags == (1, 1, 1, 1)  # ITU-T H.273: BT.709 three times, then limited range


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_colors_come_back_within_three_levels(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"walk{suffix}"
    write_video([patches()] * 5, path)
    for shown in frames_of(path):
        for index, color in enumerate(COLORS):
            row, column = divmod(index, 3)
            inside = shown[row * 32 + 8 : row * 32 + 24, column * 32 + 8 : column * 32 + 24]
            assert abs(inside.reshape(-1, 3).mean(0) - color).max() <= 3


def frames_of(path: Path) -> Iterator[np.ndarray]:
    """Yield the frames of a film as a viewer that follows its tags shows them."""
    if path.suffix == ".mp4":
        import av

        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                planes = frame.to_ndarray(format="yuv444p").astype(float)  # (3, height, width)
                yield from_bt709(planes)
    else:
        with Image.open(path) as image:
            for shown in ImageSequence.Iterator(image):
                yield np.asarray(shown.convert("RGB"))


def from_bt709(planes: np.ndarray) -> np.ndarray:
    """Turn limited-range Y'CbCr (3, height, width) into RGB after ITU-R BT.709-6, sections 3 and 4."""
    luma = (planes[0] - 16) / 219
    blue = luma + 1.8556 * (planes[1] - 128) / 224
    red = luma + 1.5748 * (planes[2] - 128) / 224
    green = (luma - 0.2126 * red - 0.0722 * blue) / 0.7152
    return 255 * np.stack([red, green, blue], axis=-1)


def test_an_mp4_starts_playing_before_it_is_loaded(mp4: Path) -> None:
    data = mp4.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_a_padded_edge_repeats_the_picture(mp4: Path) -> None:
    for shown in frames_of(mp4):
        assert abs(shown[:, 95] - shown[:, 94]).mean() < 4
        assert abs(shown[63] - shown[62]).mean() < 4


def test_another_library_finds_the_recipe_in_an_mp4(mp4: Path) -> None:
    import av

    with av.open(str(mp4)) as container:
        assert container.metadata["latent_recipe"] == RECIPE


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("recipe", [RECIPE, "{}", "x" * 300_000])
def test_a_recipe_comes_back_out_of_a_film(tmp_path: Path, suffix: str, recipe: str) -> None:
    path = tmp_path / f"walk{suffix}"
    write_video(film(3), path, recipe_json=recipe)
    assert read_recipe_text(path) == recipe
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_film_without_a_recipe_has_none(tmp_path: Path, suffix: str) -> None:
    write_video(film(3), tmp_path / f"walk{suffix}")
    assert read_recipe_text(tmp_path / f"walk{suffix}") is None


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_frame_is_there_in_order(tmp_path: Path, suffix: str) -> None:
    write_video(film(12), tmp_path / f"walk{suffix}")
    levels = [frame.mean() for frame in frames_of(tmp_path / f"walk{suffix}")]
    assert levels == pytest.approx([20 * number for number in range(12)], abs=3)


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_a_loop_lasts_as_long_as_its_frames_say(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"walk{suffix}"
    write_video(film(30, 31, 21), path, fps=30)
    with Image.open(path) as image:
        assert (image.size, image.info["loop"]) == ((21, 31), 0)
        durations = []
        for frame in ImageSequence.Iterator(image):
            frame.load()
            durations.append(frame.info["duration"])
    assert sum(durations) == 1000


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_images_are_as_good_as_arrays(tmp_path: Path, suffix: str) -> None:
    write_video(film(2), tmp_path / f"arrays{suffix}")
    write_video([Image.fromarray(frame) for frame in film(2)], tmp_path / f"images{suffix}")
    assert (tmp_path / f"arrays{suffix}").read_bytes() == (tmp_path / f"images{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_frames_are_let_go_once_written(tmp_path: Path, suffix: str) -> None:
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def watched() -> Iterator[np.ndarray]:
        nonlocal most
        for frame in film(40):
            alive.append(weakref.ref(frame))
            most = max(most, sum(reference() is not None for reference in alive))
            yield frame

    write_video(watched(), tmp_path / f"walk{suffix}")
    gc.collect()
    assert most <= 4


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_cancelled_film_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        write_video(film(9), tmp_path / f"walk{suffix}", progress=stop)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failing_generator_leaves_the_old_film(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"walk{suffix}"
    write_video(film(2), path)
    before = path.read_bytes()

    def failing() -> Iterator[np.ndarray]:
        yield from film(2)
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        write_video(failing(), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_progress_counts_every_frame(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    write_video(list(film(4)), tmp_path / "walk.gif", progress=lambda *call: calls.append(call))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    calls.clear()
    write_video(film(2), tmp_path / "walk.gif", progress=lambda *call: calls.append(call), total=2)
    assert calls == [(1, 2), (2, 2)]


def test_without_the_extra_only_mp4_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingPart, match=r"pip install 'latent-steer\[video\]'"):
        write_video(film(), tmp_path / "walk.mp4")
    assert not list(tmp_path.iterdir())
    write_video(film(), tmp_path / "walk.gif")
    write_video(film(), tmp_path / "walk.webp")


def test_a_recipe_is_read_from_an_mp4_without_the_extra(mp4: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert read_recipe_text(mp4) == RECIPE


def test_an_mp4_cut_short_anywhere_never_breaks_the_reader(mp4: Path) -> None:
    whole = mp4.read_bytes()
    for length in range(0, len(whole), 13):
        mp4.write_bytes(whole[:length])
        try:
            assert read_recipe_text(mp4) in (None, RECIPE)
        except BrokenFile:
            continue


def test_an_mp4_with_a_byte_changed_never_breaks_the_reader(mp4: Path) -> None:
    whole = bytearray(mp4.read_bytes())
    start = whole.index(b"moov")
    for place in range(start, whole.index(b"mdat"), 3):
        damaged = whole.copy()
        damaged[place] ^= 0xFF
        mp4.write_bytes(damaged)
        try:
            read_recipe_text(mp4)
        except (BrokenFile, BadInput):
            continue


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "at least one frame"),
        ([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)], "one size"),
        ([np.zeros((8, 8, 3), np.float32)], "uint8"),
        ([np.zeros((8, 8), np.uint8)], "height, width, 3"),
    ],
)
def test_frames_that_make_no_film_are_refused(tmp_path: Path, suffix: str, frames: list[Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        write_video(frames, tmp_path / f"walk{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "fps", "message"),
    [
        ("walk.avi", 30, r"use \.mp4, \.gif or \.webp"),
        ("walk", 30, r"use \.mp4, \.gif or \.webp"),
        ("walk.mp4", 0, "frames per second"),
        ("walk.mp4", float("nan"), "frames per second"),
        ("walk.gif", 60, "at most 50"),
        ("nowhere/walk.mp4", 30, "does not exist"),
    ],
)
def test_a_film_that_cannot_be_is_refused(tmp_path: Path, name: str, fps: float, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        write_video(film(), tmp_path / name, fps=fps)
    assert not list(tmp_path.iterdir())
