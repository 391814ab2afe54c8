"""Grid: what is on Turn, varied along two or three axes; every cell can be turned on from."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr
import torch
from torch import Tensor

from steer.apps.gridding import Dimension, dimensions, lay
from steer.apps.gridding import Grid as Cells
from steer.apps.regridding import axes_of
from steer.apps.studio.desks import Desk
from steer.apps.studio.frame import EACH, FETCH, LATEST, Frame, plainly
from steer.apps.studio.panels import LARGEST_PNG, addresses, plain
from steer.apps.studio.waiting import Waiting
from steer.errors import BadInput
from steer.progress import Progress
from steer.recipe import Recipe

NOTHING = ""
"""The choice of an axis that is left out."""

CHOOSE_CELL = """element.addEventListener("click", (event) => {
  const cell = event.target.closest("button[data-place]");
  if (cell) trigger("select", { place: Number(cell.dataset.place) });
});"""

PLACES = ("Across", "Down", "Sheet by sheet")

Update = dict[Any, Any]
"""New values by component."""


@dataclass(eq=False)
class Form:
    """How the axes of one page are laid out.

    Attributes:
        known: what can be varied.
        names: what is varied along each axis.
        opened: the recipe that they were last read from.
    """

    known: tuple[str, ...] = ()
    names: list[str] = field(default_factory=lambda: [NOTHING] * len(PLACES))
    opened: Recipe | None = None


@dataclass(eq=False)
class Sheet:
    """What one page has drawn on this tab.

    Attributes:
        cells: the grid.
        addresses: of each picture that is drawn, for the page.
        pictures: the same as they are, each (1, 3, height, width) in [0, 1].
    """

    cells: Cells
    addresses: list[str] = field(default_factory=list)
    pictures: list[Tensor] = field(default_factory=list)

    def draw(self, progress: Progress) -> None:
        """Draw every cell."""
        for picture in self.cells.draw(progress):
            self.addresses += addresses(picture)
            self.pictures.append(picture)

    @property
    def whole(self) -> bool:
        """Whether every cell is drawn."""
        return len(self.pictures) == len(self.cells.cells)


class Grid:
    """The tab of grids."""

    name = "Grid"

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._sheets: WeakKeyDictionary[Desk, Sheet] = WeakKeyDictionary()
        self._forms: WeakKeyDictionary[Desk, Form] = WeakKeyDictionary()
        self._waiting = Waiting(frame, "grid", "Drawing")

    def lay_out(self) -> None:
        """See `Tab.lay_out`."""
        self._what: list[gr.Dropdown] = []
        self._values: list[gr.Textbox] = []
        with gr.Row(elem_id="grid-desk", elem_classes="tab-desk wide"):
            with gr.Column(elem_classes="tab-choose", min_width=220):
                gr.HTML(
                    '<h2>Axes</h2><p class="hint">What is on Turn now, varied. A click on a cell loads it there.</p>'
                )
                for number, place in enumerate(PLACES):
                    with gr.Column(elem_classes="axis", elem_id=f"axis-{number}"):
                        self._what.append(gr.Dropdown([], label=place, info="What changes along it."))
                        self._values.append(
                            gr.Textbox(label=f"{place}: values", show_label=False, info=" ", max_lines=2)
                        )
                self._draw = gr.Button("Draw the grid", variant="primary", elem_id="grid-draw")
                self._waiting.lay_out()
            with gr.Column(elem_classes="tab-look", min_width=320):
                self._view = gr.HTML(elem_id="grid-view", js_on_load=CHOOSE_CELL)
                with gr.Row(elem_classes="tab-actions"):
                    self._png = gr.Button("Save PNG", visible=False, elem_id="grid-png")
                    self._csv = gr.Button("Save measurements (CSV)", visible=False, elem_id="grid-csv")
                    self._saved = gr.DownloadButton(visible=False)

    def wire(self) -> None:
        """See `Tab.wire`."""
        for place, (what, values) in enumerate(zip(self._what, self._values, strict=True)):
            what.input(self._usual(place), what, values, **LATEST)
        axes = [each for pair in zip(self._what, self._values, strict=True) for each in pair]
        shown = [self._view, self._png, self._csv]
        self._draw.click(self._begin, axes, [*shown, *self._waiting.parts], **EACH)
        self.frame.changed(self._view.select(self._load, None, self.frame.places, **EACH))
        for button, save in ((self._png, self._save_png), (self._csv, self._save_csv)):
            button.click(save, None, self._saved, **LATEST).then(None, self._saved, None, js=FETCH)

    def follow(self, event: Any) -> None:
        """See `Tab.follow`."""
        shown = [*self._what, *self._values, self._view, self._png, self._csv]
        event.then(self._show, self._values, shown, **LATEST)

    def _form(self, desk: Desk) -> Form:
        return self._forms.setdefault(desk, Form())

    def _usual(self, place: int) -> Callable[..., Any]:
        """Return what begins an axis with usual values, unless it has begun: what was typed since is left alone."""

        def begin(request: gr.Request, name: str) -> Any:
            desk = self.frame.anyone(request)
            names = self._form(desk).names
            if names[place] == name:
                return gr.skip()
            names[place] = name
            return _values(dimensions(desk.session.setting).get(name))

        return begin

    def _begin(self, request: gr.Request, *written: str) -> Iterator[Update]:
        """Draw the grid while the page shows it grow."""
        desk = self.frame.anyone(request)
        with plainly():
            axes = [(name, text or "") for name, text in zip(written[::2], written[1::2], strict=True) if name]
            sheet = Sheet(lay(self.frame.desk(request).session.setting, axes))
            assert sheet.cells.cells

            def draw(progress: Progress) -> None:
                self._sheets[desk] = sheet
                sheet.draw(progress)

            yield from self._waiting.show(desk, draw, lambda: self._stand(self._sheets.get(desk)))
        yield {**self._stand(self._sheets.get(desk)), **self._waiting.idle(desk)}

    def _load(self, request: gr.Request, chosen: gr.EventData) -> Any:
        """Load the cell that was clicked into Turn."""
        sheet, place = self._sheets.get(self.frame.anyone(request)), getattr(chosen, "place", None)
        if sheet is None or not isinstance(place, int) or not 0 <= place < len(sheet.cells.cells):
            return gr.skip()
        self.frame.do(request, lambda session: session.adopt(sheet.cells.cells[place]))
        return gr.Tabs(selected="Turn")

    def _save_png(self, request: gr.Request) -> Iterator[str]:
        """Write the sheet with its recipe; the page fetches it."""
        with plainly(), TemporaryDirectory() as folder:
            sheet = self._drawn(request)
            path = Path(folder, f"{sheet.cells.setting.generator.name}-grid.png")
            sheet.cells.recipe.save(path, sheet.cells.setting.generator)
            yield str(path)

    def _save_csv(self, request: gr.Request) -> Iterator[str]:
        """Write what is measured on every cell; the page fetches it."""
        with plainly(), TemporaryDirectory() as folder:
            sheet = self._drawn(request)
            path = Path(folder, f"{sheet.cells.setting.generator.name}-grid.csv")
            sheet.cells.save_csv(torch.cat(sheet.pictures), path)
            yield str(path)

    def _drawn(self, request: gr.Request) -> Sheet:
        sheet = self._sheets.get(self.frame.anyone(request))
        if sheet is None or not sheet.whole:
            raise BadInput("there is no whole grid to save yet; draw it first")
        return sheet

    def _show(self, request: gr.Request, *written: str) -> Update:
        """Offer what can be varied about the setting; what was written stays where it still can be.

        Where a grid's sheet was opened, its axes are filled in.
        """
        desk = self.frame.anyone(request)
        form, known = self._form(desk), dimensions(desk.session.setting)
        update = self._stand(self._sheets.get(desk))
        opened, axes = desk.session.opened, []
        if opened is not None and opened is not form.opened:
            axes = axes_of(opened, desk.session.setting)
        form.opened = opened
        if form.known == tuple(known) and not axes:
            return update
        if axes:
            filled = [*axes, *[(NOTHING, "")] * (len(PLACES) - len(axes))]
            form.names, written = [name for name, _ in filled], tuple(text for _, text in filled)
        elif not form.known:
            form.names, written = _first(list(desk.session.setting.knobs)), ("",) * len(PLACES)
        form.known = tuple(known)
        form.names = [name if name in known else NOTHING for name in form.names]
        choices = [("nothing", NOTHING), *((plain(each), each) for each in known)]
        for place, (name, text) in enumerate(zip(form.names, written, strict=True)):
            update[self._what[place]] = gr.Dropdown(choices, value=name)
            update[self._values[place]] = _values(known.get(name), text)
        return update

    def _stand(self, sheet: Sheet | None) -> Update:
        """Show how things stand."""
        whole = sheet is not None and sheet.whole
        return {
            self._view: view_html(sheet),
            self._png: gr.Button(visible=whole),
            self._csv: gr.Button(
                visible=whole and sheet is not None and sheet.cells.setting.dice.model.measurer is not None
            ),
        }


def _values(dimension: Dimension | None, written: str = "") -> gr.Textbox:
    """Return the field for the values of an axis, hidden where nothing is varied."""
    if dimension is None:
        return gr.Textbox(value="", info=" ", visible=False)
    return gr.Textbox(value=written or dimension.usual, info=dimension.help, visible=True)


def _first(knobs: Sequence[str]) -> list[str]:
    """Return the axes to begin with: the first knob across, seeds down."""
    return [next(iter(knobs), "truncation"), "seed", NOTHING]


def view_html(sheet: Sheet | None) -> str:
    """Lay the cells out, each a button; those not drawn yet are left open."""
    if sheet is None:
        return (
            '<div class="empty"><h2>A picture for every combination</h2><p>Choose what changes across and down, then '
            "draw the grid. Numbers are written with commas, or as “-90 to 90 in 7”.</p></div>"
        )
    across, *others = sheet.cells.axes
    down = others[0].labels if others else ("",)
    sheets = others[1].labels if len(others) > 1 else ("",)
    head = "".join(f'<span role="columnheader">{escape(label)}</span>' for label in across.labels)
    parts = []
    for number, title in enumerate(sheets):
        rows = []
        for row, label in enumerate(down):
            first = (number * len(down) + row) * len(across.values)
            cells = "".join(_cell(sheet, first + column) for column in range(len(across.values)))
            rows.append(f'<div role="row"><span role="rowheader">{escape(label)}</span>{cells}</div>')
        name = f"{plain(others[1].dimension.name)} {title}" if len(others) > 1 else ""
        caption = f"<h3>{escape(name)}</h3>" if name else ""
        parts.append(
            f'{caption}<div class="sheet" role="grid" style="--columns: {len(across.values)}" '
            f'aria-label="{escape(name or "The grid")}"><div role="row"><span></span>{head}</div>{"".join(rows)}</div>'
        )
    said = f"{plain(across.dimension.name)} across" + (f", {plain(others[0].dimension.name)} down" if others else "")
    return f'<p class="hint axes">{escape(said)}</p>{"".join(parts)}'


def _cell(sheet: Sheet, place: int) -> str:
    said = ", ".join(f"{plain(name)} {label}" for name, label in sheet.cells.labels(place).items())
    if place >= len(sheet.addresses):
        return '<span role="gridcell" class="open"></span>'
    small = ' class="small"' if sheet.pictures[place].shape[-2] <= LARGEST_PNG else ""
    return (
        f'<button type="button" role="gridcell" data-place="{place}" title="{escape(said)}; click to turn it">'
        f'<img{small} src="{sheet.addresses[place]}" alt="{escape(said)}"></button>'
    )
