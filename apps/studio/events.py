"""What happens when something on the page is touched: a verb of the session, then the page is painted."""

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr

from steer.apps.session import Session
from steer.apps.studio.desks import POOL, Desk, Desks, slider_range
from steer.apps.studio.page import ANY, Page
from steer.apps.studio.painting import Seen, Settled, paint, settle
from steer.apps.studio.panels import knob_info, plain
from steer.errors import SteerError

LARGEST_THROW = 9_999
"""Seeds that a throw draws from: small enough to be said aloud."""

DIALLED = POOL + 3
"""Values that travel with every move: edition, clock, truncation and the sliders."""

CLOCK = f"(...values) => [values[0], performance.now(), ...values.slice(2, {DIALLED})]"
"""Puts the page's clock beside the sliders, since requests may overtake each other."""

FETCH = """(file) => {
  if (!file) return;
  const link = document.createElement("a");
  link.href = file.url;
  link.download = file.orig_name;
  link.click();
}"""

NAME_BOXES = """() => {
  for (const name of ["python", "command"])
    document.querySelector(`#${name} textarea`)?.setAttribute("aria-label", name);
}"""
"""Gives the boxes of code their names: Gradio's labels name the button in them."""

STEPS = {"degree": 1.0, "sigma": 0.05}
SMALL_STEPS = 200
"""Steps over the range of a knob in any other unit."""

Update = dict[Any, Any]
"""New values by component."""

log = logging.getLogger(__name__)


@contextmanager
def plainly(hidden: str = "") -> Iterator[None]:
    """Show what goes wrong on the page, in plain words; what is our fault is logged as well.

    Args:
        hidden: a folder of the server, cut from what is shown.
    """
    try:
        yield
    except SteerError as error:
        gr.Warning(escape(str(error).replace(hidden, "")), duration=15, title="That did not work")
    except Exception as error:
        log.exception("a defect in the studio")
        gr.Warning(
            f"This is a defect of the studio ({escape(type(error).__name__)}); nothing was changed. "
            "Please report it with the lines that the server printed.",
            duration=None,
            title="That did not work",
        )


class Events:
    """The handlers of the page, and how they are wired.

    Args:
        page: the components.
        desks: the desks of all open pages.
    """

    def __init__(self, page: Page, desks: Desks) -> None:
        self.page, self.desks = page, desks

    def wire(self, demo: gr.Blocks) -> None:
        """Wire every component."""
        page = self.page
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        latest: dict[str, Any] = {**quiet, "trigger_mode": "always_last", "concurrency_limit": None}

        # Each move is noted at once, past the queue; the loop paints the newest, and is called again at the end.
        sliders = [page.truncation, *page.sliders]
        moves = [move for slider in sliders for move in (slider.input, slider.release)]
        dialled = [page.edition, page.stamp, *sliders]
        gr.on(
            moves, self.note, dialled, None, js=CLOCK, queue=False, trigger_mode="multiple", preprocess=False, **quiet
        )
        gr.on(moves, self.dial, dialled, page.seen, js=CLOCK, preprocess=False, **latest).then(
            self.settle, None, page.settled, **latest
        )

        def on(trigger: Any, verb: Callable[..., Any], inputs: Any, outputs: Any) -> None:
            done = trigger(verb, inputs, outputs, **latest)
            done.then(self.repaint, None, page.seen, **latest).then(self.settle, None, page.settled, **latest)

        on(demo.load, self.open, None, page.controls)
        on(page.generator.input, self.use, page.generator, page.controls)
        on(page.label.input, self.label, page.label, page.choices)
        on(page.birds.input, self.birds, page.birds, page.choices)
        on(page.seed.input, self.seed, page.seed, None)
        on(page.throw.click, self.throw, None, page.choices)
        on(page.throw_one.click, self.throw_one, page.die, page.choices)
        on(page.reset.click, self.reset, None, page.controls)
        on(page.show_strips.input, self.show_strips, page.show_strips, None)
        on(page.dropped.upload, self.restore, page.dropped, [*page.controls, page.dropped])
        page.save.click(self.save, None, page.saved, **latest).then(None, page.saved, None, js=FETCH)
        demo.load(None, js=NAME_BOXES)
        demo.unload(self.close)

    def open(self, request: gr.Request) -> Update:
        """Show the page as its desk stands."""
        return self._controls(self.desks.of(_page(request)))

    def close(self, request: gr.Request) -> None:
        """Forget the page."""
        self.desks.clear(_page(request))

    def note(self, request: gr.Request, edition: Any, stamp: Any, truncation: Any, *amounts: Any) -> None:
        """Note where the sliders stand, for the loop that paints; what is wrong, `dial` will say."""
        desk = self.desks.of(_page(request))
        try:
            desk.dial(edition, stamp, truncation, amounts)
        except SteerError:
            return

    def dial(self, request: gr.Request, edition: Any, stamp: Any, truncation: Any, *amounts: Any) -> Iterator[Seen]:
        """Set the sliders' values, and paint until the page shows the newest."""
        with plainly():
            self._desk(request).dial(edition, stamp, truncation, amounts)
        yield from self.repaint(request)

    def repaint(self, request: gr.Request) -> Iterator[Seen]:
        """Paint until the page shows the newest setting."""
        painted = False
        with plainly():
            for seen in paint(self.desks.of(_page(request))):
                yield seen
                painted = True
        if not painted:
            yield (gr.skip(),) * 3  # a generator that yields nothing would empty the page

    def settle(self, request: gr.Request) -> Iterator[Settled]:
        """Show texts and strips."""
        with plainly():
            yield from settle(self.desks.of(_page(request)))

    def use(self, request: gr.Request, generator: str) -> Update:
        """Change the generator."""
        return self._all(request, lambda session: session.use(generator))

    def label(self, request: gr.Request, label: str) -> Update:
        """Ask for a class."""
        return self._some(request, lambda session: session.label(None if label == ANY else label))

    def birds(self, request: gr.Request, count: int) -> Update:
        """Show this many pictures."""
        return self._some(request, lambda session: session.birds(count))

    def seed(self, request: gr.Request, seed: int | None) -> None:
        """Throw all dice with the seed that was typed; the box itself is left to the hand that types."""
        if seed is not None:
            self._some(request, lambda session: session.throw(seed))

    def throw(self, request: gr.Request) -> Update:
        """Throw all dice."""
        return self._some(request, lambda session: session.throw(_random_seed()))

    def throw_one(self, request: gr.Request, die: str | None) -> Update:
        """Throw one die."""
        return self._some(request, lambda session: session.throw_one(die or "", _random_seed()))

    def reset(self, request: gr.Request) -> Update:
        """Turn every knob back."""
        return self._all(request, Session.reset)

    def show_strips(self, request: gr.Request, wanted: bool) -> None:
        """Show strips or hide them."""
        with plainly():
            desk = self._desk(request)
            desk.wants_strips, desk.settled, desk.strips = wanted, None, []

    def save(self, request: gr.Request) -> Iterator[str]:
        """Write the PNG with its recipe; the page fetches it."""
        with plainly(), TemporaryDirectory() as folder:
            setting = self._desk(request).session.setting
            path = Path(folder, setting.file_name)
            setting.recipe.save(path, setting.generator)
            yield str(path)

    def restore(self, request: gr.Request, path: str) -> Update:
        """Put everything back as a dropped file says."""
        with plainly(hidden=f"{Path(path).parent}/"):
            if note := self._desk(request).session.restore(path):
                gr.Info(note)
        return {**self._controls(self.desks.of(_page(request))), self.page.dropped: None}

    def _desk(self, request: gr.Request) -> Desk:
        desk = self.desks.of(_page(request))
        if desk.edition == 0:
            raise SteerError("this page was left alone for so long that it was forgotten; reload it")
        return desk

    def _all(self, request: gr.Request, verb: Callable[[Session], None]) -> Update:
        """Do something that sets the sliders, and show every control as it stands after."""
        with plainly():
            verb(self._desk(request).session)
        return self._controls(self.desks.of(_page(request)))

    def _some(self, request: gr.Request, verb: Callable[[Session], None]) -> Update:
        """Do something that leaves the sliders alone, and show the choices as they stand after."""
        with plainly():
            verb(self._desk(request).session)
        return self._choices(self.desks.of(_page(request)))

    def _choices(self, desk: Desk) -> Update:
        page, dice = self.page, desk.session.setting.dice
        label = dice.model.label
        dies = [(plain(name), name) for name in dice.model.dice_knobs]
        return {
            page.generator: gr.Dropdown(value=dice.model.generator.name),
            page.label: gr.Dropdown(
                [ANY, *(label.choices if label else ())], value=dice.label or ANY, visible=label is not None
            ),
            page.seed: None if dice.held else dice.seeds[0],
            page.die: gr.Dropdown(dies, visible=bool(dies)),
            page.throw_one: gr.Button(visible=bool(dies)),
            page.birds: dice.birds,
        }

    def _controls(self, desk: Desk) -> Update:
        page, setting = self.page, desk.session.setting
        edition, knobs = desk.set_sliders(), list(desk.knobs.items())
        desk.settled, desk.strips = None, []
        measurer = setting.dice.model.measurer
        update: Update = {**self._choices(desk), page.truncation: setting.dice.truncation, page.edition: edition}
        dies = setting.dice.model.dice_knobs
        update[page.die] = gr.Dropdown(
            [(plain(name), name) for name in dies], value=dies[0] if dies else None, visible=bool(dies)
        )
        for place, (cell, slider) in enumerate(zip(page.cells, page.sliders, strict=True)):
            update[cell] = gr.Column(visible=place < len(knobs))
            if place >= len(knobs):
                update[slider] = gr.Slider(-1, 1, value=0)
                continue
            name, knob = knobs[place]
            amount = setting.amounts.get(name, 0.0)
            low, high = slider_range(knob, amount)
            attribute = measurer.attributes.get(knob.attribute or "") if measurer else None
            update[slider] = gr.Slider(
                low,
                high,
                value=amount,
                step=STEPS.get(knob.unit, (high - low) / SMALL_STEPS),
                label=plain(name),
                info=knob_info(knob, attribute.summary if attribute else ""),
            )
        return update


def _page(request: gr.Request) -> str:
    return str(request.session_hash)


def _random_seed() -> int:
    return random.randint(0, LARGEST_THROW)  # noqa: S311 - a die for the eye, not for secrets
