"""Films: frames written one at a time, to MP4 with the extra `video`, to GIF and animated WebP without it."""

import io
import struct
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import chain, count
from operator import length_hint
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from steer.errors import BadInput, MissingPart
from steer.files import atomic_path
from steer.pictures import RECIPE_KEY, as_comment, as_exif

Frame = NDArray[np.uint8]
"""One frame, (height, width, 3), 8-bit RGB."""

_BT709 = 1  # the same number names its matrix, its primaries and its transfer curve (ITU-T H.273)
_LIMITED_RANGE = 1


def write_video(
    frames: Iterable[NDArray[Any] | Image.Image],
    path: str | Path,
    *,
    fps: float = 30,
    recipe_json: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    total: int | None = None,
) -> None:
    """Write frames as a film, whole or not at all, holding one frame in memory at a time.

    ``.mp4`` is H.264 that browsers play: yuv420p, BT.709 converted and tagged, index in front. Its sides are
    even; an odd one is made longer by repeating the edge. ``.gif`` and ``.webp`` loop and need no extra.

    Args:
        frames: 8-bit RGB frames of one size, arrays (height, width, 3) or images.
        path: where to write; its suffix decides the format.
        fps: frames per second.
        recipe_json: a recipe to store inside the file.
        progress: called after every frame with how many are done and how many there are; it may raise
            `steer.errors.Cancelled`, and then no file is left.
        total: how many frames there are, where ``frames`` does not know.

    Raises:
        BadInput: the suffix is none of these, there are no frames, their sizes differ, ``fps`` is impossible,
            or the folder is missing or closed.
        MissingPart: ``.mp4`` was asked for without the extra `video`.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        raise BadInput(f"'{path.name}': a film cannot be saved as '{suffix}'; use .mp4, .gif or .webp")
    if not fps > 0:
        raise BadInput(f"a film needs more than {fps} frames per second")
    if suffix == ".mp4":
        _require_av()
    with atomic_path(path) as temporary:
        total = total if total is not None else length_hint(frames)
        _WRITERS[suffix](_checked(frames, progress, total), temporary, fps, recipe_json)


def _require_av() -> Any:
    try:
        import av
    except ModuleNotFoundError as error:
        raise MissingPart("an .mp4 film (.gif and .webp need nothing more)", "video") from error
    return av


def _checked(
    frames: Iterable[NDArray[Any] | Image.Image], progress: Callable[[int, int], None] | None, total: int
) -> Iterator[Frame]:
    size = None
    done = 0
    for done, frame in enumerate(frames, start=1):
        levels = np.asarray(frame)
        if levels.dtype != np.uint8 or levels.ndim != 3 or levels.shape[2] != 3:
            raise BadInput(f"a frame is (height, width, 3) of uint8, not {levels.shape} of {levels.dtype}")
        if size not in (None, levels.shape):
            raise BadInput(f"frame {done} is {levels.shape}, those before it {size}; a film has one size")
        size = levels.shape
        yield levels
        if progress is not None:
            progress(done, max(total, done))
    if not done:
        raise BadInput("a film needs at least one frame")


def _ticks(fps: float, unit: int) -> Iterator[int]:
    """Yield how long each frame lasts in whole 1/unit seconds, so that rounding never adds up."""
    for number in count():
        yield round((number + 1) * unit / fps) - round(number * unit / fps)


def _write_mp4(frames: Iterator[Frame], path: Path, fps: float, recipe_json: str | None) -> None:
    av = _require_av()
    first = next(frames)
    height, width = (side + side % 2 for side in first.shape[:2])
    options = {"movflags": "+faststart+use_metadata_tags"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        if recipe_json is not None:
            container.metadata[RECIPE_KEY] = recipe_json
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options={"crf": "18", "preset": "medium"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        tags = stream.codec_context
        tags.colorspace = tags.color_primaries = tags.color_trc = _BT709
        tags.color_range = _LIMITED_RANGE
        for levels in chain([first], frames):
            odd = ((0, height - levels.shape[0]), (0, width - levels.shape[1]), (0, 0))
            rgb = av.VideoFrame.from_ndarray(np.pad(levels, odd, mode="edge"), format="rgb24")
            yuv = rgb.reformat(format="yuv420p", dst_colorspace="ITU709")  # untagged, it would be BT.601
            container.mux(stream.encode(yuv))
        container.mux(stream.encode(None))


def _write_gif(frames: Iterator[Frame], path: Path, fps: float, recipe_json: str | None) -> None:
    # Pillow gathers every frame before it writes an animation; frames saved singly and joined here stay few.
    if fps > 50:
        raise BadInput(f"a GIF shows at most 50 frames per second, not {fps:g}; lower fps, or use .webp or .mp4")
    with path.open("wb") as file:
        for index, (levels, ticks) in enumerate(zip(frames, _ticks(fps, 100), strict=False)):
            single = io.BytesIO()
            image = Image.fromarray(levels)
            palette = image.quantize(256, Image.Quantize.FASTOCTREE)
            image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(single, "GIF", interlace=0)
            data = single.getvalue()
            colors = 3 << (data[10] & 7) + 1  # bytes in the colour table
            table, picture = data[13 : 13 + colors], data[13 + colors : -1]
            if index == 0:
                file.write(b"GIF89a" + data[6:10] + b"\0\0\0!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0")
                if recipe_json is not None:
                    file.write(b"!\xfe" + _sub_blocks(as_comment(recipe_json)))
            file.write(b"!\xf9\x04\0" + struct.pack("<H", ticks) + b"\0\0")
            file.write(picture[:9] + bytes([0x80 | data[10] & 7]) + table + picture[10:])
        file.write(b";")


def _sub_blocks(data: bytes) -> bytes:
    """Cut data into a GIF's blocks of at most 255 bytes, each after its length, ended by an empty one."""
    blocks = (data[start : start + 255] for start in range(0, len(data), 255))
    return b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"


def _write_webp(frames: Iterator[Frame], path: Path, fps: float, recipe_json: str | None) -> None:
    # Joined by hand for the same reason; the layout is that of Google's "WebP Container Specification".
    with path.open("wb") as file:
        first = next(frames)
        height, width = first.shape[:2]
        animated, with_exif = 0x02, 0x08
        flags = animated | (with_exif if recipe_json is not None else 0)
        file.write(b"RIFF\0\0\0\0WEBP")
        _write_chunk(file, b"VP8X", struct.pack("<I", flags) + _three_bytes(width - 1) + _three_bytes(height - 1))
        _write_chunk(file, b"ANIM", struct.pack("<IH", 0xFFFFFFFF, 0))  # white behind, loops for ever
        for levels, ticks in zip(chain([first], frames), _ticks(fps, 1000), strict=False):
            single = io.BytesIO()
            Image.fromarray(levels).save(single, "WEBP", quality=90)
            placed = [0, 0, width - 1, height - 1, ticks]
            do_not_blend = b"\x02"
            head = b"".join(map(_three_bytes, placed)) + do_not_blend
            _write_chunk(file, b"ANMF", head + single.getvalue()[12:])
        if recipe_json is not None:
            _write_chunk(file, b"EXIF", as_exif(recipe_json).tobytes())
        size = file.tell() - 8
        file.seek(4)
        file.write(struct.pack("<I", size))


def _write_chunk(file: io.BufferedWriter, kind: bytes, data: bytes) -> None:
    file.write(kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2))


def _three_bytes(number: int) -> bytes:
    return number.to_bytes(3, "little")


_WRITERS: dict[str, Callable[[Iterator[Frame], Path, float, str | None], None]] = {
    ".mp4": _write_mp4,
    ".gif": _write_gif,
    ".webp": _write_webp,
}
VIDEO_SUFFIXES = frozenset(_WRITERS)
