"""Tags of MP4 files, read without a video library: enough to find the recipe inside a film.

Boxes, the key list and the item list are as in ISO/IEC 14496-12 and Apple's QuickTime File Format
("Metadata atoms and types"): ``moov / udta / meta / keys`` names the tags, ``ilst`` beside it holds them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from steer.errors import BadInput

Span = tuple[int, int]
"""Where something starts and ends in a file, in bytes."""

NOWHERE: Span = (0, 0)


def is_mp4(path: Path) -> bool:
    """Say whether a file begins as an MP4 file does."""
    with path.open("rb") as file:
        return file.read(12)[4:8] == b"ftyp"


def read_tag(path: Path, key: str, limit: int) -> str | None:
    """Return the text of a tag of an MP4 file; None where it has no such tag.

    Args:
        path: the file.
        key: the tag's name.
        limit: the longest text that is read, in bytes.

    Raises:
        BadInput: the tag is longer than ``limit``.
        ValueError: the file's boxes make no sense.
    """
    with path.open("rb") as file:
        whole = (0, file.seek(0, 2))
        meta = _content(file, whole, b"moov", b"udta", b"meta")
        keys, items = _content(file, meta, b"keys"), _content(file, meta, b"ilst")
        number = _number_of(file, keys, key.encode())
        data = _content(file, items, number.to_bytes(4, "big"), b"data")
        start, stop = data[0] + 8, data[1]  # a type and a locale come first
        if stop - start > limit:
            raise BadInput(f"the tag '{key}' is longer than {limit >> 20} MiB; it cannot be a real one")
        if stop <= start:
            return None
        file.seek(start)
        return file.read(stop - start).decode("utf-8", "replace")


def _content(file: BinaryIO, span: Span, *kinds: bytes) -> Span:
    """Return where the content of a box within boxes stands; the empty span where there is none."""
    for kind in kinds:
        boxes = _boxes(file, span)
        span = next((content for found, content in boxes if found == kind), NOWHERE)
        if kind == b"meta":
            span = span[0] + 4, span[1]  # version and flags
    return span


def _boxes(file: BinaryIO, span: Span) -> Iterator[tuple[bytes, Span]]:
    """Yield the kind of each box in a span of the file, and where its content stands."""
    start, end = span
    while start + 8 <= end:
        file.seek(start)
        size, kind = int.from_bytes(file.read(4), "big"), file.read(4)
        content = start + 8
        if size == 1:
            size, content = int.from_bytes(file.read(8), "big"), content + 8
        elif size == 0:
            size = end - start
        if size < content - start or start + size > end:
            raise ValueError(f"a box of {size} bytes at {start} does not fit")
        yield kind, (content, start + size)
        start += size


def _number_of(file: BinaryIO, keys: Span, wanted: bytes) -> int:
    """Return the number of a key, counted from 1; 0 where it is not there."""
    start, end = keys
    for number, (_, (first, last)) in enumerate(_boxes(file, (start + 8, end)), start=1):  # a count comes first
        if last - first == len(wanted):
            file.seek(first)
            if file.read(len(wanted)) == wanted:
                return number
    return 0
