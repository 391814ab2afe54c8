"""Preparation: any picture becomes what a generator takes, and everything done to it is said."""

import io
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from steer.door import expect
from steer.errors import BadInput
from steer.files import check_file
from steer.pictures import recipe_of, to_images, to_pictures
from steer.shapes import Pictures

PictureSource = str | Path | Image.Image | NDArray[Any] | Tensor
"""A picture in any form: a file, an image, an array (height, width[, channels]) or a tensor ([1,] channels, height,
width); numbers are whole ones of 8 or 16 bits, or floats in [0, 1]."""

LARGEST_PIXELS = 64_000_000
"""The largest picture that is read."""

GROUND = (255, 255, 255)
"""What transparent pictures are laid on."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A picture as a generator takes it.

    Attributes:
        picture: (1, 3, height, width), whole multiples of 1/255 in [0, 1].
        size: width and height of the upright original, in pixels.
        box: the part of the original that was taken: left, upper, right and lower edge, in pixels.
        notes: one sentence for everything that was done to it.
    """

    picture: Pictures
    size: tuple[int, int]
    box: tuple[int, int, int, int]
    notes: tuple[str, ...]

    @property
    def png(self) -> bytes:
        """The picture as a PNG of 8-bit RGB."""
        file = io.BytesIO()
        to_images(self.picture)[0].save(file, format="PNG")
        return file.getvalue()


def prepare(source: PictureSource, size: tuple[int, int]) -> Prepared:
    """Make what a generator takes out of any picture.

    It is turned upright, laid on white where it is transparent, brought to 8-bit RGB, cropped about its middle to the
    generator's shape, and scaled.

    Args:
        source: a file, an image, an array or a tensor; see `PictureSource`.
        size: height and width to arrive at, in pixels.

    Raises:
        BadInput: it is no picture that can be read, it is empty, or it has more than 64 million pixels.

    >>> prepare(Image.new("L", (200, 100)), (64, 64)).notes
    ('greyscale became RGB', 'cropped to 100x100 of 200x100 pixels', 'scaled to 64x64 pixels')
    """
    notes: list[str] = []
    if isinstance(source, str | Path):
        image = _read(Path(source), notes)
    elif isinstance(source, Image.Image):
        image = source
    else:
        expect(source, Tensor | np.ndarray, "a picture is a file, an image, an array or a tensor")
        image = _from_numbers(source, notes)
    _check_size(image)
    image = _as_rgb(_upright(image, notes), notes)
    height, width = size
    box = _middle(image.size, width / height)
    taken = (box[2] - box[0], box[3] - box[1])
    if taken != image.size:
        notes.append(f"cropped to {taken[0]}x{taken[1]} of {image.width}x{image.height} pixels")
    if taken != (width, height):
        grown = min(taken) < min(size)
        notes.append(f"{'enlarged, so it stays blurred,' if grown else 'scaled'} to {width}x{height} pixels")
        scaled = image.resize((width, height), Image.Resampling.LANCZOS, box=box)
    else:
        scaled = image.crop(box)
    return Prepared(to_pictures([scaled]), image.size, box, tuple(notes))


def _read(path: Path, notes: list[str]) -> Image.Image:
    check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `_check_size` has a limit of its own
            with Image.open(path) as image:
                _check_size(image)
                if getattr(image, "n_frames", 1) > 1:
                    notes.append("of the pictures in the file the first was taken")
                if any(";16" in str(part) for tile in image.tile for part in tile) and not image.mode.startswith("I"):
                    notes.append("16 bits a channel were rounded to 8")  # as Pillow reads colours
                image.load()
                if _is_sheet(image):
                    notes.append("a sheet with its border, as it is in the file; --bare draws one picture without")
                return image
    except Image.DecompressionBombError as error:
        raise _too_large(f"'{path}'") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise BadInput(
            f"'{path}' is no picture that can be read, or it is cut short; save it as PNG or JPEG"
        ) from error


def _is_sheet(image: Image.Image) -> bool:
    """Whether an image was made here, and laid out on a sheet."""
    try:
        return json.loads(recipe_of(image) or "{}").get("layout", {}).get("bare") is False
    except (ValueError, AttributeError):
        return False


def _check_size(image: Image.Image) -> None:
    if not image.width or not image.height:
        raise BadInput(f"the picture is empty, {image.width}x{image.height} pixels; give one that shows something")
    if image.width * image.height > LARGEST_PIXELS:
        raise _too_large(f"the picture, with {image.width}x{image.height} pixels,")


def _too_large(what: str) -> BadInput:
    return BadInput(f"{what} is too large; scale it down to at most {LARGEST_PIXELS // 1_000_000} million pixels")


def _from_numbers(source: NDArray[Any] | Tensor, notes: list[str]) -> Image.Image:
    """Turn an array (height, width[, channels]) or a tensor ([1,] channels, height, width) into an image."""
    if isinstance(source, Tensor):
        array = source.detach().cpu().float().numpy() if source.is_floating_point() else source.detach().cpu().numpy()
        array = array[0] if array.ndim == 4 and len(array) == 1 else array
        array = np.moveaxis(array, 0, -1) if array.ndim == 3 else array
    else:
        array = source
    array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise BadInput(
            f"numbers of shape {tuple(source.shape)} are no picture; give an array (height, width[, 1, 3 or 4]), or a "
            "tensor ([1,] 1, 3 or 4, height, width)"
        )
    if array.dtype.kind == "f":
        if array.size and not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise BadInput("a picture's floats lie in [0, 1]; divide by 255, or shift and scale them")
        array = np.rint(array * 255).astype(np.uint8)
    elif array.dtype == np.uint16:
        array = _rounded(array, notes)
    elif array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif array.dtype != np.uint8:
        raise BadInput(f"a picture's numbers are uint8, uint16, or floats in [0, 1], not {array.dtype}; convert them")
    if not array.size:
        raise BadInput(f"the picture is empty, of shape {tuple(source.shape)}; give one that shows something")
    return Image.fromarray(np.ascontiguousarray(array))


def _rounded(array: NDArray[Any], notes: list[str]) -> NDArray[np.uint8]:
    notes.append("16 bits a channel were rounded to 8")
    return np.rint(array.astype(np.float64).clip(0, 65535) / 257).astype(np.uint8)


def _upright(image: Image.Image, notes: list[str]) -> Image.Image:
    if image.getexif().get(ExifTags.Base.Orientation, 1) not in range(2, 9):
        return image
    notes.append("turned upright, as its EXIF data say")
    return ImageOps.exif_transpose(image)


_NAMES: Mapping[str, str] = {
    "1": "black and white",
    "L": "greyscale",
    "LA": "greyscale",
    "La": "greyscale",
    "CMYK": "CMYK",
    "YCbCr": "YCbCr",
    "LAB": "Lab",
    "HSV": "HSV",
}


def _as_rgb(image: Image.Image, notes: list[str]) -> Image.Image:
    """Return 8-bit RGB, laid on white where it is transparent."""
    if image.mode.startswith("I") or image.mode == "F":
        numbers = np.asarray(image)
        of_eight = numbers.size and numbers.max() <= 255 and not image.mode.startswith("I;16")
        image = Image.fromarray(numbers.clip(0, 255).astype(np.uint8) if of_eight else _rounded(numbers, notes))
    if image.mode in _NAMES:
        notes.append(f"{_NAMES[image.mode]} became RGB")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        if seen.getchannel("A").getextrema() != (255, 255):
            notes.append("what is transparent was laid on white")
        return Image.alpha_composite(Image.new("RGBA", image.size, GROUND), seen).convert("RGB")
    return image.convert("RGB")


def _middle(size: tuple[int, int], shape: float) -> tuple[int, int, int, int]:
    """Return the largest box of a shape, width by height, about the middle."""
    width, height = size
    across = max(1, min(width, round(height * shape)))
    down = max(1, min(height, round(width / shape)))
    left, upper = (width - across) // 2, (height - down) // 2
    return left, upper, left + across, upper + down
