"""Pages: figures on paper of one colour, without boxes, as PNG, PDF or SVG."""

from pathlib import Path
from typing import TYPE_CHECKING

from steer.errors import BadInput
from steer.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAPER, INK, FADED, SOFT, WARM, COOL = "#faf9f6", "#343338", "#7c7a80", "#e4e1da", "#c8553d", "#3d6f8e"
SUFFIXES = (".pdf", ".png", ".svg")


def check_page(path: str | Path) -> None:
    """Check that a page can be drawn in the format that a file's name asks for.

    Raises:
        BadInput: it cannot.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise BadInput(f"'{Path(path).name}': a page is drawn as one of {', '.join(SUFFIXES)}")


def blank_page(width: float, height: float) -> "Figure":
    """Return a page, its size in inches; no window is needed to draw on it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    page = Figure(figsize=(width, height), facecolor=PAPER)
    FigureCanvasAgg(page)
    return page


def save_page(page: "Figure", path: str | Path) -> None:
    """Write a page.

    Raises:
        BadInput: the folder cannot be written.
    """
    with atomic_path(Path(path)) as temporary:
        page.savefig(temporary, dpi=150, facecolor=PAPER)


def plain(place: "Axes") -> None:
    """Leave out the box and fade the ticks."""
    place.set_facecolor(PAPER)
    for side in place.spines.values():
        side.set_visible(False)
    place.tick_params(colors=FADED, labelsize=8, length=2)


def spoken(name: str) -> str:
    """Return a name as it is said.

    >>> spoken("background_hue")
    'background hue'
    """
    return name.replace("_", " ")
