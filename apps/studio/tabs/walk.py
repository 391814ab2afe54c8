"""Walk: what was pinned becomes keyframes; a preview at once, the film in the background."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr

from steer.apps.setting import Setting
from steer.apps.studio.desks import Desk
from steer.apps.studio.frame import EACH, LATEST, Frame, plainly
from steer.apps.studio.panels import LARGEST_PNG, addresses, plain
from steer.apps.studio.waiting import Waiting
from steer.apps.walking import MOST_PINS, PREVIEW_FPS, Pace, film_of, pins_of, walk_through
from steer.errors import BadInput
from steer.progress import Progress
from steer.recipe import Recipe
from steer.walk import EASINGS

FORMATS = {"MP4, plays everywhere": ".mp4", "GIF": ".gif", "WebP, small and sharp": ".webp"}
WALKS = [".mp4", ".gif", ".webp", ".json"]
"""Files that may carry the recipe of a walk."""

CHOOSE_PIN = """element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-place]");
  if (button) trigger("select", { place: Number(button.dataset.place), verb: button.dataset.verb });
});"""

Update = dict[Any, Any]
"""New values by component."""


@dataclass(eq=False)
class Way:
    """What one page has pinned.

    Attributes:
        pins: the settings to pass, in their order.
        thumbs: an address of the first picture of each.
        preview: the preview's address; empty while there is none of these pins.
    """

    pins: list[Setting] = field(default_factory=list)
    thumbs: list[str] = field(default_factory=list)
    preview: str = ""

    def pin(self, setting: Setting) -> None:
        """Pin a setting behind the others.

        Raises:
            BadInput: there are too many.
        """
        if len(self.pins) >= MOST_PINS:
            raise BadInput(f"a walk has up to {MOST_PINS} pins; remove one first")
        first = setting.dice.decode(setting.dice.latent, setting.steering)[:1]
        self.pins.append(setting)
        self.thumbs += addresses(first)
        self.preview = ""

    def move(self, place: int, to: int) -> None:
        """Put a pin at another place; a place beyond the ends removes it."""
        pin, thumb = self.pins.pop(place), self.thumbs.pop(place)
        if 0 <= to <= len(self.pins):
            self.pins.insert(to, pin)
            self.thumbs.insert(to, thumb)
        self.preview = ""


class Walk:
    """The tab of walks."""

    name = "Walk"

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._ways: WeakKeyDictionary[Desk, Way] = WeakKeyDictionary()
        self._waiting = Waiting(frame, "walk", "Rendering")

    def lay_out(self) -> None:
        """See `Tab.lay_out`."""
        with gr.Row(elem_id="walk-desk", elem_classes="tab-desk wide"):
            with gr.Column(elem_classes="tab-choose", min_width=220):
                self._seconds = gr.Slider(
                    0.25, 10, value=2, step=0.25, label="Seconds", info="From each pin to the next.", buttons=[]
                )
                self._fps = gr.Radio([12, 24, 30, 60], value=30, label="Frames a second", info="More is smoother.")
                self._easing = gr.Dropdown(
                    list(EASINGS), value="smooth", label="Easing", info="How the speed changes on the way."
                )
                self._loop = gr.Checkbox(True, label="Loop", info="Come back to the first pin, without a seam.")
                self._format = gr.Dropdown(
                    list(FORMATS.items()), value=".mp4", label="Format", info="All three carry the recipe."
                )
                with gr.Row(elem_classes="tab-actions"):
                    self._preview = gr.Button("Preview", elem_id="walk-preview")
                    self._render = gr.Button("Render", variant="primary", elem_id="walk-render")
                self._waiting.lay_out()
                self._file = gr.DownloadButton("Download", visible=False, variant="primary", elem_id="walk-file")
                self._open = gr.UploadButton(
                    "Open a walk made here", file_types=WALKS, size="sm", elem_id="walk-open", min_width=0
                )
            with gr.Column(elem_classes="tab-look", min_width=320):
                self._view = gr.HTML(elem_id="walk-view", js_on_load=CHOOSE_PIN)

    @property
    def _pace(self) -> list[Any]:
        return [self._seconds, self._fps, self._loop, self._easing]

    def wire(self) -> None:
        """See `Tab.wire`."""
        self.frame.pin.click(self._pin, None, self._view, **LATEST)
        self.frame.changed(self._view.select(self._choose, None, [self._view, self.frame.places], **EACH))
        self._open.upload(self._restore, self._open, [self._view, *self._pace], **LATEST)
        job = [self._view, self._file, *self._waiting.parts]
        self._preview.click(self._look, self._pace, job, **EACH)
        self._render.click(self._film, [self._format, *self._pace], job, **EACH)

    def follow(self, event: Any) -> None:
        """See `Tab.follow`."""
        event.then(self._show, None, self._view, **LATEST)

    def _way(self, request: gr.Request) -> Way:
        return self._ways.setdefault(self.frame.anyone(request), Way())

    def _show(self, request: gr.Request) -> str:
        return view_html(self._way(request))

    def _pin(self, request: gr.Request) -> str:
        """Pin what Turn shows."""
        with plainly():
            way = self._way(request)
            way.pin(self.frame.desk(request).session.setting)
            gr.Info(f"Pinned as number {len(way.pins)} on the tab Walk.", duration=3)
        return self._show(request)

    def _choose(self, request: gr.Request, chosen: gr.EventData) -> tuple[str, Any]:
        """Load the pin that was clicked into Turn, move it, or remove it."""
        way, place, verb = self._way(request), getattr(chosen, "place", None), getattr(chosen, "verb", None)
        if not isinstance(place, int) or not 0 <= place < len(way.pins):
            return self._show(request), gr.skip()
        if verb == "load":
            pin = way.pins[place]
            self.frame.do(request, lambda session: session.adopt(pin))
            return self._show(request), gr.Tabs(selected="Turn")
        way.move(place, {"earlier": place - 1, "later": place + 1}.get(str(verb), -1))
        return self._show(request), gr.skip()

    def _restore(self, request: gr.Request, path: str) -> Update:
        """Put pins and pace back as the recipe in a film says."""
        with plainly(hidden=f"{Path(path).parent}/"):
            recipe, session = Recipe.load(path), self.frame.desk(request).session
            pins, pace = pins_of(recipe, session.model(recipe.generator))
            way = Way()
            for pin in pins:
                way.pin(pin)
            self._ways[self.frame.anyone(request)] = way
            shown = [pace.seconds, pace.fps, pace.loop, pace.easing]
            return {self._view: view_html(way), **dict(zip(self._pace, shown, strict=True))}
        return {self._view: self._show(request)}

    def _look(self, request: gr.Request, seconds: float, fps: int, loop: bool, easing: Any) -> Iterator[Update]:
        """Make a quick preview and show it."""
        way, desk = self._way(request), self.frame.anyone(request)
        with plainly():
            walk, pin = walk_through(way.pins, Pace(seconds, PREVIEW_FPS, loop, easing)), way.pins[0]
            way.preview = yield from self._waiting.show(desk, lambda progress: _preview(walk, pin, progress))
        yield {self._view: view_html(way), **self._waiting.idle(desk)}

    def _film(
        self, request: gr.Request, suffix: str, seconds: float, fps: int, loop: bool, easing: Any
    ) -> Iterator[Update]:
        """Render the film with its recipe while the page goes on, and offer it."""
        way, desk = self._way(request), self.frame.anyone(request)
        with plainly(), TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # what was stopped may still write
            walk = walk_through(way.pins, Pace(seconds, fps, loop, easing))
            path, recipe = Path(folder, f"{walk.generator.name}-walk{suffix}"), film_of(walk, way.pins[0])
            yield {self._file: gr.DownloadButton(visible=False)}
            yield from self._waiting.show(desk, lambda progress: recipe.save(path, walk.generator, progress=progress))
            size = f"{path.stat().st_size / 1e6:.1f} MB"
            yield {self._file: gr.DownloadButton(f"Download {path.name} ({size})", value=str(path), visible=True)}
        yield self._waiting.idle(desk)


def _preview(walk: Any, pin: Setting, progress: Progress) -> str:
    """Return an address that holds the film, small."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "preview.webp")
        film_of(walk, pin).save(path, walk.generator, progress=progress)
        return f"data:image/webp;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def view_html(way: Way) -> str:
    """Show the pins in their order, and the preview where there is one."""
    if not way.pins:
        return (
            '<div class="empty"><h2>Pin what you like</h2><p>Turn something, press “Pin” at the top, turn on, pin '
            "again. The walk goes from pin to pin.</p></div>"
        )
    pins = "".join(_pin_html(way, place) for place in range(len(way.pins)))
    if way.preview:
        film = f'<img class="film" src="{way.preview}" alt="The walk, at {PREVIEW_FPS} frames a second">'
    elif len(way.pins) < 2:
        film = '<div class="empty"><h2>One more</h2><p>Turn something and pin again: a walk takes two.</p></div>'
    else:
        film = '<div class="empty"><h2>Ready</h2><p>“Preview” plays it quickly, “Render” makes the film.</p></div>'
    return f'<ol class="pins" aria-label="Pins">{pins}</ol>{film}'


def _pin_html(way: Way, place: int) -> str:
    pin = way.pins[place]
    small = ' class="small"' if pin.generator.backend.picture_size[0] <= LARGEST_PNG else ""
    said = escape(f"pin {place + 1}: {', '.join(map(plain, sorted(set(pin.labels)))) or 'picture'}")

    def button(verb: str, sign: str, what: str) -> str:
        name = f"{what} {said}"
        return f'<button type="button" data-place="{place}" data-verb="{verb}" aria-label="{name}">{sign}</button>'

    earlier = button("earlier", "←", "earlier:") if place else "<span></span>"
    later = button("later", "→", "later:") if place + 1 < len(way.pins) else "<span></span>"
    picture = f'<img{small} src="{way.thumbs[place]}" alt="{said}">'
    return (
        f"<li>{button('load', picture, 'turn on from')}"
        f"<div>{earlier}<b>{place + 1}</b>{button('remove', '×', 'remove')}{later}</div></li>"
    )
