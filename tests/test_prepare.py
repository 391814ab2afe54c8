"""What preparation promises: any picture becomes what a generator takes, and what was done to it is said."""

import io

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from steer import prepare as preparation
from steer.errors import BadInput
from steer.prepare import prepare

SIZE = (16, 16)


def gradient(width=16, height=16):
    """Return a picture whose red grows to the right and whose green grows downwards."""
    across = np.linspace(0, 255, width, dtype=np.uint8)[None].repeat(height, 0)
    down = np.linspace(0, 255, height, dtype=np.uint8)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([across, down, np.full_like(down, 100)], 2))


class TestPictures:
    def test_a_picture_of_the_right_size_is_taken_as_it_is(self):
        prepared = prepare(gradient(), SIZE)
        assert prepared.notes == ()
        assert prepared.box == (0, 0, 16, 16)
        levels = prepared.picture.mul(255)[0].permute(1, 2, 0)
        assert torch.equal(levels.round().byte(), torch.from_numpy(np.asarray(gradient()).copy()))
        with Image.open(io.BytesIO(prepared.png)) as again:
            assert again.tobytes() == gradient().tobytes()

    @pytest.mark.parametrize(
        ("size", "box"), [((40, 20), (10, 0, 30, 20)), ((20, 41), (0, 10, 20, 30)), ((33, 32), (0, 0, 32, 32))]
    )
    def test_the_middle_is_taken_and_said(self, size, box):
        prepared = prepare(gradient(*size), SIZE)
        assert (prepared.size, prepared.box) == (size, box)
        side = box[2] - box[0]
        assert f"cropped to {side}x{side} of {size[0]}x{size[1]} pixels" in prepared.notes
        assert "scaled to 16x16 pixels" in prepared.notes
        expected = gradient(*size).crop(box).resize((16, 16), Image.Resampling.LANCZOS)
        with Image.open(io.BytesIO(prepared.png)) as again:
            assert np.abs(np.asarray(again).astype(int) - np.asarray(expected)).max() <= 1

    def test_the_shape_is_the_generators(self):
        prepared = prepare(gradient(100, 100), (10, 40))
        assert prepared.picture.shape == (1, 3, 10, 40)
        assert prepared.box == (0, 37, 100, 62)

    def test_one_pixel_is_a_picture(self):
        prepared = prepare(Image.new("RGB", (1, 1), (255, 0, 51)), SIZE)
        assert prepared.notes == ("enlarged, so it stays blurred, to 16x16 pixels",)
        torch.testing.assert_close(prepared.picture[0, :, 3, 3], torch.tensor([1.0, 0.0, 0.2]))


class TestModes:
    @pytest.mark.parametrize(
        ("mode", "note"),
        [("L", "greyscale"), ("1", "black and white"), ("CMYK", "CMYK"), ("YCbCr", "YCbCr"), ("HSV", "HSV")],
    )
    def test_other_colours_become_rgb_and_it_is_said(self, mode, note):
        prepared = prepare(gradient().convert(mode), SIZE)
        assert f"{note} became RGB" in prepared.notes
        expected = np.asarray(gradient().convert(mode).convert("RGB"))
        assert np.array_equal(prepared.picture[0].permute(1, 2, 0).mul(255).round().numpy(), expected)

    @pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
    def test_what_is_transparent_is_laid_on_white(self, mode):
        picture = gradient().convert("RGBA")
        picture.putalpha(Image.new("L", (16, 16), 0))
        prepared = prepare(picture if mode == "RGBA" else picture.convert(mode), SIZE)
        assert "what is transparent was laid on white" in prepared.notes
        assert (prepared.picture == 1).all()

    def test_half_transparent_is_half_white_and_opaque_is_said_nothing_of(self):
        half = Image.new("RGBA", (16, 16), (0, 0, 0, 51))
        torch.testing.assert_close(prepare(half, SIZE).picture, torch.full((1, 3, 16, 16), 0.8), atol=3e-3, rtol=0)
        assert prepare(gradient().convert("RGBA"), SIZE).notes == ()

    def test_a_palette_with_a_transparent_colour_is_laid_on_white(self, tmp_path):
        picture = Image.new("P", (16, 16), 1)
        picture.putpalette([0, 0, 0, 255, 0, 0])
        picture.save(tmp_path / "p.png", transparency=1)
        assert (prepare(tmp_path / "p.png", SIZE).picture == 1).all()

    def test_16_bits_are_rounded_to_8(self, tmp_path):
        grey = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
        Image.fromarray(grey).save(tmp_path / "grey.png")
        for source in (tmp_path / "grey.png", grey):
            prepared = prepare(source, SIZE)
            assert "16 bits a channel were rounded to 8" in prepared.notes
            assert np.array_equal(prepared.picture[0, 0].mul(255).round().numpy(), np.rint(grey / 257))

    def test_a_photograph_is_turned_upright(self, tmp_path):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6  # the camera was held on its side: turn right by 90 degrees
        gradient(32, 16).save(tmp_path / "photo.png", exif=exif)
        prepared = prepare(tmp_path / "photo.png", SIZE)
        assert prepared.size == (16, 32)
        assert prepared.notes[0] == "turned upright, as its EXIF data say"
        upright = np.asarray(gradient(32, 16)).swapaxes(0, 1)[:, ::-1][8:24]
        assert np.array_equal(prepared.picture[0].permute(1, 2, 0).mul(255).round().numpy(), upright)

    def test_of_an_animation_the_first_picture_is_taken(self, tmp_path):
        frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
        frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
        prepared = prepare(tmp_path / "a.gif", SIZE)
        assert "of the pictures in the file the first was taken" in prepared.notes
        assert prepared.picture[0, :, 0, 0].tolist() == [1, 0, 0]


class TestNumbers:
    def test_arrays_and_tensors_of_one_picture_are_the_same(self):
        image, levels = gradient(), torch.from_numpy(np.asarray(gradient()).copy())
        expected = prepare(image, SIZE).picture
        floats = levels.permute(2, 0, 1).float() / 255
        for source in (levels.numpy(), levels.numpy() / 255, floats, floats[None], floats.double()):
            assert torch.equal(prepare(source, SIZE).picture, expected)

    def test_a_channel_is_enough(self):
        for source in (np.zeros((16, 16)), np.zeros((16, 16, 1), bool), torch.zeros(1, 16, 16), torch.zeros(16, 16)):
            prepared = prepare(source, SIZE)
            assert not prepared.picture.any()
            assert prepared.notes == ("greyscale became RGB",)


class TestRefusals:
    def test_a_file_that_is_not_there_or_no_picture_is_refused(self, tmp_path):
        with pytest.raises(BadInput, match="no file"):
            prepare(tmp_path / "none.png", SIZE)
        for name, content in (("text.png", b"no picture"), ("empty.png", b"")):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(BadInput, match=r"no picture that can be read.*PNG or JPEG"):
                prepare(tmp_path / name, SIZE)

    def test_a_picture_cut_short_is_refused(self, tmp_path):
        gradient(64, 64).save(tmp_path / "whole.png")
        (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:-400])
        with pytest.raises(BadInput, match="cut short"):
            prepare(tmp_path / "cut.png", SIZE)

    def test_what_is_absurdly_large_is_refused_before_it_is_read(self, tmp_path, monkeypatch):
        for side in (9_000, 20_000):
            Image.new("1", (side, side)).save(tmp_path / "large.png")
            with pytest.raises(BadInput, match="scale it down to at most 64 million"):
                prepare(tmp_path / "large.png", SIZE)
        monkeypatch.setattr(preparation, "LARGEST_PIXELS", 100)
        with pytest.raises(BadInput, match="scale it down"):
            prepare(gradient(), SIZE)

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            (np.zeros((0, 5, 3), np.uint8), "empty"),
            (Image.new("RGB", (0, 0)), "empty"),
            (torch.zeros(2, 3, 8, 8), "no picture"),
            (torch.zeros(5, 8, 8), "no picture"),
            (np.zeros(7), "no picture"),
            (np.full((8, 8), 200.0), "divide by 255"),
            (torch.full((3, 8, 8), float("nan")), "floats"),
            (np.zeros((8, 8), np.int64), "convert"),
        ],
    )
    def test_numbers_that_are_no_picture_are_refused_with_the_cure(self, source, message):
        with pytest.raises(BadInput, match=message):
            prepare(source, SIZE)
