"""Pictures, sheets, and the recipe inside a file."""

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from steer.errors import BadInput, BrokenFile
from steer.pictures import (
    JPEG_LIMIT,
    PAPER,
    RECIPE_LIMIT,
    read_recipe_text,
    save_picture,
    sheet,
    to_images,
    to_pictures,
)

RECIPE = json.dumps({"generator": "aviary", "seeds": [1, 2]})
SUFFIXES = [".png", ".jpg", ".jpeg", ".webp"]


def ramp(batch: int = 3, height: int = 6, width: int = 10) -> torch.Tensor:
    """Return pictures in which no two channels, rows or columns are alike."""
    return torch.arange(batch * 3 * height * width).view(batch, 3, height, width) % 256 / 255


def test_pictures_survive_the_way_to_images_and_back() -> None:
    assert torch.equal(to_pictures(to_images(ramp())), ramp())


def test_an_image_shows_red_first_and_rounds_to_the_nearest_level() -> None:
    pictures = torch.tensor([1.0, 0.5, -3.0]).view(1, 3, 1, 1)
    assert to_images(pictures)[0].getpixel((0, 0)) == (255, 128, 0)


def test_images_of_several_sizes_are_no_batch() -> None:
    with pytest.raises(BadInput, match="one size"):
        to_pictures([Image.new("RGB", (2, 2)), Image.new("RGB", (2, 3))])


def test_a_crisp_sheet_holds_every_pixel_of_every_picture_in_order() -> None:
    pictures = ramp(batch=5)
    page = np.asarray(sheet(pictures, columns=2, scale=3, gap=4, enlarge="crisp"))
    assert page.shape == (4 + 3 * (18 + 4), 4 + 2 * (30 + 4), 3)
    for index, image in enumerate(to_images(pictures)):
        top, left = 4 + index // 2 * 22, 4 + index % 2 * 34
        assert (page[top : top + 18 : 3, left : left + 30 : 3] == np.asarray(image)).all()
        assert (page[top + 2 : top + 18 : 3, left + 2 : left + 30 : 3] == np.asarray(image)).all()
    assert (page[48:, 38:] == PAPER).all(), "the place after the last picture stays empty"


def test_labels_make_room_for_themselves_and_leave_the_pictures_alone() -> None:
    pictures = ramp(batch=4, height=64, width=64)
    plain = np.asarray(sheet(pictures, columns=2, enlarge="crisp"))
    labelled = np.asarray(
        sheet(
            pictures,
            columns=2,
            captions=["robin", "owl", "heron", "a caption that is much too long for its place" * 3],
            column_labels=["−2σ", "+2σ"],
            row_labels=["seed 1", "seed 22"],
            enlarge="crisp",
        )
    )
    assert labelled.shape > plain.shape
    first = np.asarray(to_images(pictures)[0].resize((128, 128), Image.Resampling.NEAREST))
    windows = np.lib.stride_tricks.sliding_window_view(labelled[:, :, 0], (1, 128))[:, :, 0]
    assert (windows == first[0, :, 0]).all(-1).any()


def test_small_pictures_are_enlarged_and_large_ones_are_not() -> None:
    assert sheet(ramp(1, 64, 64), gap=0).size == (128, 128)
    assert sheet(ramp(1, 20, 20), gap=0).size == (140, 140)
    assert sheet(ramp(1, 200, 200), gap=0).size == (200, 200)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": 0}, "at least 1"),
        ({"scale": 0}, "at least 1"),
        ({"captions": ["one"]}, "3 captions, not 1"),
        ({"columns": 3, "row_labels": ["a", "b"]}, "1 row labels, not 2"),
        ({"columns": 2, "column_labels": ["a"]}, "2 column labels, not 1"),
    ],
)
def test_a_sheet_says_what_does_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        sheet(ramp(), **options)


def test_a_sheet_too_large_for_any_memory_is_refused_before_it_is_made() -> None:
    with pytest.raises(BadInput, match="smaller scale"):
        sheet(ramp(), scale=100_000)


def test_a_sheet_of_nothing_is_refused() -> None:
    with pytest.raises(BadInput, match="at least one"):
        sheet(torch.zeros(0, 3, 8, 8))


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".PNG"])
@pytest.mark.parametrize("recipe", [RECIPE, '{"name": "Rötel − σ 鳥 🐦"}'])
def test_a_recipe_comes_back_out_of_a_picture(tmp_path: Path, suffix: str, recipe: str) -> None:
    path = tmp_path / f"bird{suffix}"
    save_picture(to_images(ramp())[0], path, recipe)
    assert read_recipe_text(path) == recipe
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_png_and_webp_keep_every_pixel(tmp_path: Path, suffix: str) -> None:
    image = to_images(torch.rand(1, 3, 33, 21))[0]
    save_picture(image, tmp_path / f"bird{suffix}", RECIPE)
    with Image.open(tmp_path / f"bird{suffix}") as saved:
        assert (np.asarray(saved) == np.asarray(image)).all()


def test_the_recipe_is_a_text_chunk_that_other_programs_read(tmp_path: Path) -> None:
    save_picture(to_images(ramp())[0], tmp_path / "bird.png", RECIPE)
    data, chunks, place = (tmp_path / "bird.png").read_bytes(), {}, 8
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        chunks[data[place + 4 : place + 8]] = data[place + 8 : place + 8 + length]
        place += length + 12
    assert chunks[b"tEXt"] == b"latent_recipe\0" + RECIPE.encode()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_picture_without_a_recipe_has_none(tmp_path: Path, suffix: str) -> None:
    save_picture(to_images(ramp())[0], tmp_path / f"bird{suffix}")
    assert read_recipe_text(tmp_path / f"bird{suffix}") is None


def test_a_comment_by_another_program_is_no_recipe(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0a day at the sea"
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.jpg", exif=exif)
    Image.new("RGB", (8, 8)).save(tmp_path / "drawn.gif", comment="made by hand")
    assert read_recipe_text(tmp_path / "photo.jpg") is None
    assert read_recipe_text(tmp_path / "drawn.gif") is None


def test_a_recipe_behind_the_pixels_is_found(tmp_path: Path) -> None:
    save_picture(to_images(ramp())[0], tmp_path / "bird.png")
    data = (tmp_path / "bird.png").read_bytes()
    body = b"tEXtlatent_recipe\0" + RECIPE.encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "bird.png").write_bytes(data[:-12] + chunk + data[-12:])
    assert read_recipe_text(tmp_path / "bird.png") == RECIPE


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    save_picture(to_images(ramp())[0], tmp_path / "bird.png", RECIPE)
    (tmp_path / "bird.png").rename(tmp_path / "upload")
    assert read_recipe_text(tmp_path / "upload") == RECIPE


@pytest.mark.parametrize("letter", ["x", "ü"])
@pytest.mark.parametrize("length", [JPEG_LIMIT - 22, JPEG_LIMIT // 2, JPEG_LIMIT, 3 * JPEG_LIMIT, 3 * JPEG_LIMIT + 1])
def test_a_recipe_of_any_length_comes_back_out_of_a_jpeg(tmp_path: Path, letter: str, length: int) -> None:
    recipe = json.dumps(letter * length, ensure_ascii=False)
    save_picture(to_images(ramp())[0], tmp_path / "bird.jpg", recipe)
    assert read_recipe_text(tmp_path / "bird.jpg") == recipe
    with Image.open(tmp_path / "bird.jpg") as image:
        assert image.size == to_images(ramp())[0].size


def test_segments_of_others_are_no_recipe(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.jpg", extra=b"\xff\xe4\0\x06abcd")
    assert read_recipe_text(tmp_path / "photo.jpg") is None


def test_a_recipe_that_just_fits_a_jpeg_comes_back(tmp_path: Path) -> None:
    recipe = "x" * (JPEG_LIMIT - 22)
    save_picture(to_images(ramp())[0], tmp_path / "bird.jpg", recipe)
    assert read_recipe_text(tmp_path / "bird.jpg") == recipe


def test_a_recipe_of_absurd_length_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="16384 KiB"):
        save_picture(Image.new("RGB", (1, 1)), tmp_path / "bird.png", "x" * (RECIPE_LIMIT + 1))
    info = PngInfo()
    info.add_text("latent_recipe", "x" * (RECIPE_LIMIT + 1))
    Image.new("RGB", (1, 1)).save(tmp_path / "bird.png", pnginfo=info)
    with pytest.raises(BadInput, match="16 MiB"):
        read_recipe_text(tmp_path / "bird.png")


@pytest.mark.parametrize("suffix", [".bmp", "", ".mp4"])
def test_an_unknown_suffix_names_those_there_are(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(BadInput, match=r"use \.png, \.jpg or \.webp"):
        save_picture(Image.new("RGB", (1, 1)), tmp_path / f"bird{suffix}")
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere.*does not exist"):
        save_picture(Image.new("RGB", (1, 1)), tmp_path / "nowhere" / "bird.png")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that even root cannot write to")
def test_a_closed_folder_is_named() -> None:
    with pytest.raises(BadInput, match="cannot write into '/proc'"):
        save_picture(Image.new("RGB", (1, 1)), "/proc/bird.png")


def test_a_failed_save_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bird.png"
    save_picture(Image.new("RGB", (1, 1)), path, RECIPE)
    before = path.read_bytes()

    def break_off(self: Image.Image, to: Path, **options: object) -> None:
        Path(to).write_bytes(before[:20])
        raise OSError("no space left on device")

    monkeypatch.setattr(Image.Image, "save", break_off)
    with pytest.raises(OSError, match="no space"):
        save_picture(Image.new("RGB", (2, 2)), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["bird.png"]


@pytest.mark.parametrize(
    "content",
    [b"", b"not a picture", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBP", b"\xff\xd8\xff\xe1"],
)
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bird.png").write_bytes(content)
    with pytest.raises(BrokenFile, match="cannot be read"):
        read_recipe_text(tmp_path / "bird.png")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_picture_cut_short_anywhere_never_breaks_the_reader(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"bird{suffix}"
    save_picture(to_images(torch.rand(1, 3, 16, 16))[0], path, RECIPE)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        try:
            assert read_recipe_text(path) in (None, RECIPE)
        except BrokenFile:
            continue


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there is no file"):
        read_recipe_text(tmp_path / "bird.png")
