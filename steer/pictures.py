"""Pictures: tensors to files and back, contact sheets, and the recipe that travels inside a file."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import ExifTags, Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from steer.errors import BadInput, BrokenFile
from steer.files import atomic_path, check_file
from steer.mp4 import is_mp4, read_tag

RECIPE_KEY = "latent_recipe"
RECIPE_LIMIT = 16 * 2**20
"""The longest recipe that is written or read, in bytes."""

PAPER = (250, 249, 246)
INK = (52, 51, 56)
FADED_INK = (124, 122, 128)

JPEG_LIMIT = 65_000
"""The longest recipe that fits into the one EXIF segment of a JPEG, in bytes; longer ones get segments of their own."""

JPEG_SEGMENT, JPEG_MARK = "APP4", f"{RECIPE_KEY}\0".encode()
"""Which segments of a JPEG those are, and how they begin."""

LARGEST_SHEET = 200_000_000
"""The most pixels of a sheet."""

_READABLE = ("PNG", "JPEG", "WEBP", "GIF")
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    ".png": {},
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".webp": {"lossless": True},
}


def to_images(pictures: Tensor) -> list[Image.Image]:
    """Turn pictures (batch, 3, height, width) in [0, 1] into 8-bit RGB images; values outside are clipped."""
    levels = pictures.detach().clamp(0, 1).mul(255).round().to("cpu", torch.uint8)
    return [Image.fromarray(picture.numpy()) for picture in levels.permute(0, 2, 3, 1).contiguous()]


def to_pictures(images: Sequence[Image.Image]) -> Tensor:
    """Turn images of one size into pictures (batch, 3, height, width) in [0, 1].

    Raises:
        BadInput: the images differ in size, or there are none.
    """
    sizes = {image.size for image in images}
    if len(sizes) != 1:
        raise BadInput(f"pictures of one batch need one size, not {len(sizes)}; resize them first")
    width, height = sizes.pop()
    data = bytearray().join(image.convert("RGB").tobytes() for image in images)
    levels = torch.frombuffer(data, dtype=torch.uint8).view(-1, height, width, 3)  # (batch, height, width, 3)
    return levels.permute(0, 3, 1, 2).float() / 255


def sheet(
    pictures: Tensor,
    columns: int | None = None,
    captions: Sequence[str] | None = None,
    scale: int | None = None,
    gap: int | None = None,
    *,
    column_labels: Sequence[str] | None = None,
    row_labels: Sequence[str] | None = None,
    enlarge: Literal["smooth", "crisp"] = "smooth",
) -> Image.Image:
    """Lay pictures out on one contact sheet, row by row.

    Args:
        pictures: (batch, 3, height, width) in [0, 1].
        columns: pictures in a row; left out, the sheet comes out about three wide to two high.
        captions: a line under each picture.
        scale: whole factor of enlargement; left out, small pictures become 128 pixels high or more.
        gap: space between pictures, in pixels; left out, a sixteenth of their height.
        column_labels: a line over each column.
        row_labels: a line left of each row.
        enlarge: "smooth" for looking, "crisp" to see every pixel as a square.

    Raises:
        BadInput: there are no pictures, columns or scale is below 1, the number of labels does not fit, or the sheet
            would be too large.
    """
    count, _, height, width = pictures.shape
    if not count:
        raise BadInput("a sheet needs at least one picture")
    columns = min(count, columns if columns is not None else max(1, round((1.5 * count) ** 0.5)))
    scale = scale if scale is not None else max(1, -(-128 // height))
    if columns < 1 or scale < 1:
        raise BadInput(f"columns and scale are whole numbers of at least 1, not {columns} and {scale}")
    rows = -(-count // columns)
    _check_number("captions", captions, count)
    _check_number("column labels", column_labels, columns)
    _check_number("row labels", row_labels, rows)

    width, height = width * scale, height * scale
    gap = gap if gap is not None else max(4, height // 16)
    font = _font(max(11, min(20, height // 9)))
    line = round(1.5 * font.size)
    left = gap + (gap + round(max(map(font.getlength, row_labels))) if row_labels else 0)
    top = gap + (line if column_labels else 0)
    across, down = width + gap, height + gap + (line if captions else 0)

    size = (left + columns * across, top + rows * down)
    if size[0] * size[1] > LARGEST_SHEET:
        raise BadInput(
            f"the sheet would be {size[0]}x{size[1]} pixels, over {LARGEST_SHEET // 1_000_000} million; "
            "take fewer pictures or a smaller scale"
        )
    canvas = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(canvas)
    resampling = Image.Resampling.LANCZOS if enlarge == "smooth" else Image.Resampling.NEAREST
    for index, image in enumerate(to_images(pictures)):
        x, y = left + index % columns * across, top + index // columns * down
        canvas.paste(image.resize((width, height), resampling), (x, y))
        if captions:
            middle = (x + width / 2, y + height + line / 2)
            draw.text(middle, _fitted(captions[index], font, across), FADED_INK, font, anchor="mm")
    for column, label in enumerate(column_labels or ()):
        middle = (left + column * across + width / 2, (gap + top) / 2)
        draw.text(middle, _fitted(label, font, across), INK, font, anchor="mm")
    for row, label in enumerate(row_labels or ()):
        draw.text((left - gap, top + row * down + height / 2), label, INK, font, anchor="rm")
    return canvas


def _check_number(what: str, labels: Sequence[str] | None, count: int) -> None:
    if labels is not None and len(labels) != count:
        raise BadInput(f"this sheet takes {count} {what}, not {len(labels)}")


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    # matplotlib ships DejaVu Sans, which has the signs that labels need (σ, °, −); Pillow's own font has not.
    import matplotlib

    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)


def _fitted(label: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Return the label, cut short with an ellipsis where it is wider than there is room."""
    if font.getlength(label) <= width:
        return label
    while label and font.getlength(f"{label}…") > width:
        label = label[:-1].rstrip()
    return f"{label}…"


def save_picture(image: Image.Image, path: str | Path, recipe_json: str | None = None) -> None:
    """Write an image whole or not at all, with its recipe inside.

    PNG and WebP keep every pixel; JPEG is for the eye. The recipe goes into PNG as a text chunk under
    ``latent_recipe``, into JPEG and WebP as EXIF UserComment; into JPEG where it is long as APP4 segments.

    Raises:
        BadInput: the suffix is none of these, the folder is missing or closed, or the recipe is too long.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _OPTIONS:
        raise BadInput(f"'{path.name}': a picture cannot be saved as '{suffix}'; use .png, .jpg or .webp")
    options = dict(_OPTIONS[suffix])
    if recipe_json is not None:
        if suffix == ".png":
            options["pnginfo"] = as_png_text(recipe_json)
        elif suffix == ".webp" or len(exif_comment(recipe_json)) <= JPEG_LIMIT:
            options["exif"] = as_exif(recipe_json)
        else:
            options["extra"] = as_segments(recipe_json)
    with atomic_path(path) as temporary:
        image.convert("RGB").save(temporary, **options)


def as_png_text(recipe_json: str) -> PngInfo:
    """Return PNG text chunks that hold a recipe: tEXt, or iTXt where it is not ASCII."""
    _check_length(recipe_json.encode())
    info = PngInfo()
    add = info.add_text if recipe_json.isascii() else info.add_itxt
    add(RECIPE_KEY, recipe_json)
    return info


def exif_comment(recipe_json: str) -> bytes:
    """Return the UserComment that holds a recipe, marked as one."""
    text = f"{RECIPE_KEY}:{recipe_json}"
    return b"ASCII\0\0\0" + text.encode() if text.isascii() else b"UNICODE\0" + text.encode("utf-16-be")


def as_exif(recipe_json: str) -> Image.Exif:
    """Return EXIF data whose UserComment holds a recipe."""
    comment = exif_comment(recipe_json)
    _check_length(comment)
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    return exif


def as_segments(recipe_json: str) -> bytes:
    """Return the segments of a JPEG that hold a recipe, one part after the other."""
    text = recipe_json.encode()
    _check_length(text)
    parts = [JPEG_MARK + text[start : start + JPEG_LIMIT] for start in range(0, len(text), JPEG_LIMIT)]
    return b"".join(b"\xff\xe4" + (len(part) + 2).to_bytes(2, "big") + part for part in parts)


def as_comment(recipe_json: str) -> bytes:
    """Return the comment of a GIF that holds a recipe, marked as one."""
    comment = f"{RECIPE_KEY}:{recipe_json}".encode()
    _check_length(comment)
    return comment


def _check_length(recipe: bytes) -> None:
    if len(recipe) > RECIPE_LIMIT:
        raise BadInput(
            f"the recipe takes {len(recipe) >> 10} KiB, over the {RECIPE_LIMIT >> 10} KiB allowed here; split it up"
        )


def read_recipe_text(path: str | Path) -> str | None:
    """Return the recipe inside a PNG, JPEG, WebP, GIF or MP4 file; None where it carries none.

    The file's content decides what it is, not its name.

    Raises:
        BadInput: there is no such file, or its recipe is longer than 16 MiB.
        BrokenFile: it is neither a picture nor a film, or it is cut short.
    """
    path = Path(path)
    check_file(path)
    try:
        if is_mp4(path):
            return read_tag(path, RECIPE_KEY, RECIPE_LIMIT)
        with Image.open(path, formats=_READABLE) as image:
            return recipe_of(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "it is not a PNG, JPEG, WebP, GIF or MP4 file, or it is cut short"
        raise BrokenFile(f"'{path}' cannot be read: {reason}") from error


def recipe_of(image: Image.Image) -> str | None:
    """Return the recipe inside an image that was read from a file; None where it carries none."""
    match image.format:
        case "PNG":
            if RECIPE_KEY not in image.info:
                image.load()  # text may also stand behind the pixels
            text = image.info.get(RECIPE_KEY)
        case "GIF":
            text = _unmarked(image.info.get("comment", b"").decode("utf-8", "replace"))
        case "JPEG" if parts := _segments_of(image):
            text = parts.decode("utf-8", "replace")
        case _:
            comment = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment, b"")
            code = "utf-16-be" if comment[:8] == b"UNICODE\0" else "utf-8"
            text = _unmarked(comment[8:].decode(code, "replace"))
    if text is not None and len(text) > RECIPE_LIMIT:
        raise BadInput(f"the recipe inside is longer than {RECIPE_LIMIT >> 20} MiB; it cannot be a real one")
    return text


def _segments_of(image: Image.Image) -> bytes:
    """Return what the segments of a JPEG hold that `as_segments` wrote; nothing where there are none."""
    segments: Sequence[tuple[str, bytes]] = getattr(image, "applist", ())
    marked = [data for name, data in segments if name == JPEG_SEGMENT and data.startswith(JPEG_MARK)]
    return b"".join(data.removeprefix(JPEG_MARK) for data in marked)


def _unmarked(text: str) -> str | None:
    mark = f"{RECIPE_KEY}:"
    return text.removeprefix(mark) if text.startswith(mark) else None
