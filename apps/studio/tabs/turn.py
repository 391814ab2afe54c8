"""Turn: dice and knobs, the picture that follows the hand, and what the judge makes of it."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr

from steer.apps.session import Session
from steer.apps.setting import COLUMNS, LARGEST_SEED
from steer.apps.studio.desks import POOL, Desk, slider_range
from steer.apps.studio.frame import FETCH, LATEST, QUIET, Frame, plainly
from steer.apps.studio.painting import Seen, Settled, paint, settle
from steer.apps.studio.panels import knob_info, plain
from steer.errors import SteerError

ANY = "any (the seed decides)"
"""The choice that asks for no class."""

LARGEST_THROW = 9_999
"""Seeds that a throw draws from: small enough to be said aloud."""

DIALLED = POOL + 3
"""Values that travel with every move: edition, clock, truncation and the sliders."""

CLOCK = f"(...values) => [values[0], performance.now(), ...values.slice(2, {DIALLED})]"
"""Puts the page's clock beside the sliders, since requests may overtake each other."""

NAME_BOXES = """() => {
  for (const name of ["python", "command"])
    document.querySelector(`#${name} textarea`)?.setAttribute("aria-label", name);
}"""
"""Gives the boxes of code their names: Gradio's labels name the button in them."""

SHOW_STRIPS = """watch("value", () => {
  document.querySelectorAll(".knob img.strip").forEach((image, place) => {
    const [address, description] = props.value?.[place] ?? ["", ""];
    image.hidden = !address;
    if (address) image.src = address;
    image.alt = description;
  });
});"""
"""Hands each knob its strip: one component for all, since Gradio takes a millisecond for each that an event names."""

STEPS = {"degree": 1.0, "sigma": 0.05}
SMALL_STEPS = 200
"""Steps over the range of a knob in any other unit."""

Update = dict[Any, Any]
"""New values by component."""


class Turn:
    """The tab with the knobs."""

    name = "Turn"

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def lay_out(self) -> None:
        """See `Tab.lay_out`."""
        with gr.Row(elem_id="desk"):
            with gr.Column(elem_id="choose", min_width=220):
                self._lay_choices()
            with gr.Column(elem_id="look", min_width=320):
                self.picture = gr.HTML(elem_id="picture", label="Picture")
                self.status = gr.HTML(elem_id="status")
                self.readings = gr.HTML(elem_id="readings")
            with gr.Column(elem_id="turn", min_width=300):
                self._lay_knobs()
        with gr.Column(elem_id="keep"):
            self._lay_keeping()
        self.edition = gr.Number(0, visible=False)
        self.stamp = gr.Number(0, visible=False)

    def _lay_choices(self) -> None:
        self.label = gr.Dropdown(
            [ANY], value=ANY, label="Class", info="What to draw; the dice stay as they are.", elem_id="label"
        )
        with gr.Column(elem_id="dice"):
            self.seed = gr.Number(
                0,
                label="Seed",
                info="Same seed, same dice.",
                precision=0,
                minimum=0,
                maximum=LARGEST_SEED,
                elem_id="seed",
            )
            self.throw = gr.Button("Throw all dice", variant="primary", elem_id="throw")
            self.die = gr.Dropdown([], label="One die", info="Throw it alone; the others are held.", elem_id="die")
            self.throw_one = gr.Button("Throw this die", elem_id="throw-one")
        self.truncation = gr.Slider(
            0.05,
            1,
            value=1,
            step=0.05,
            label="Truncation",
            info="Draws the dice in: smaller is more typical, less varied.",
            elem_id="truncation",
        )
        self.birds = gr.Radio(
            list(COLUMNS), value=1, label="Pictures", info="The same turns on this many seeds.", elem_id="birds"
        )

    def _lay_knobs(self) -> None:
        with gr.Row(elem_id="knob-bar"):
            gr.HTML('<h2>Knobs</h2><p class="hint">0 leaves the dice as they fell.</p>')
            self.reset = gr.Button("Reset all", size="sm", elem_id="reset")
        self.show_strips = gr.Checkbox(
            True, label="Show each knob over its whole range", elem_id="show-strips", container=False
        )
        self.cells, self.sliders = [], []
        with gr.Column(elem_id="knobs"):
            for place in range(POOL):
                with gr.Column(visible=False, elem_classes="knob", elem_id=f"knob-{place}") as cell:
                    self.sliders.append(gr.Slider(-1, 1, value=0, step=0.05, label=f"knob {place}", buttons=["reset"]))
                    gr.HTML('<img class="strip" alt="" hidden>')
                self.cells.append(cell)
        self.strips = gr.HTML([], html_template="", js_on_load=SHOW_STRIPS)

    def _lay_keeping(self) -> None:
        with gr.Row(elem_id="keep-bar"):
            gr.HTML(
                '<h2>Keep</h2><p class="hint">The PNG carries its recipe: drop it anywhere on this page to have all of '
                "this again. Command and Python make this very picture again, bit for bit.</p>"
            )
            self.save = gr.Button("Save PNG", variant="primary", elem_id="save")
            self.saved = gr.DownloadButton(visible=False)
        self.command = gr.Textbox(
            label="Command", buttons=["copy"], interactive=False, lines=1, max_lines=4, elem_id="command"
        )
        self.python = gr.Textbox(
            label="Python", buttons=["copy"], interactive=False, lines=8, max_lines=24, elem_id="python"
        )

    @property
    def choices(self) -> list[Any]:
        """What shows the session's choices, less the sliders."""
        return [self.label, self.seed, self.die, self.throw_one, self.birds]

    @property
    def controls(self) -> list[Any]:
        """What shows the session's choices."""
        return [*self.choices, self.truncation, *self.cells, *self.sliders, self.edition]

    @property
    def seen(self) -> list[Any]:
        """What is painted while the hand moves."""
        return [self.picture, self.status, self.readings]

    @property
    def settled(self) -> list[Any]:
        """What follows once the hand rests."""
        return [self.command, self.python, self.strips]

    def wire(self) -> None:
        """See `Tab.wire`."""
        # Each move is noted at once, past the queue; the loop paints the newest, and is called again at the end.
        sliders = [self.truncation, *self.sliders]
        moves = [move for slider in sliders for move in (slider.input, slider.release)]
        dialled = [self.edition, self.stamp, *sliders]
        gr.on(
            moves, self._note, dialled, None, js=CLOCK, queue=False, trigger_mode="multiple", preprocess=False, **QUIET
        )
        gr.on(moves, self._dial, dialled, self.seen, js=CLOCK, preprocess=False, **LATEST).then(
            self._settle, None, self.settled, **LATEST
        )
        self._paint_after(self.label.input(self._label, self.label, self.choices, **LATEST))
        self._paint_after(self.birds.input(self._birds, self.birds, self.choices, **LATEST))
        self._paint_after(self.seed.input(self._seed, self.seed, None, **LATEST))
        self._paint_after(self.throw.click(self._throw, None, self.choices, **LATEST))
        self._paint_after(self.throw_one.click(self._throw_one, self.die, self.choices, **LATEST))
        self._paint_after(self.show_strips.input(self._show_strips, self.show_strips, None, **LATEST))
        self.frame.changed(self.reset.click(self._reset, None, None, **LATEST))
        self.save.click(self._save, None, self.saved, **LATEST).then(None, self.saved, None, js=FETCH)
        self.frame.demo.load(None, js=NAME_BOXES)

    def follow(self, event: Any) -> None:
        """See `Tab.follow`."""
        self._paint_after(event.then(self._show, None, self.controls, **LATEST))

    def _paint_after(self, event: Any) -> None:
        event.then(self._paint, None, self.seen, **LATEST).then(self._settle, None, self.settled, **LATEST)

    def _note(self, request: gr.Request, edition: Any, stamp: Any, truncation: Any, *amounts: Any) -> None:
        """Note where the sliders stand, for the loop that paints; what is wrong, `_dial` will say."""
        desk = self.frame.anyone(request)
        try:
            desk.dial(edition, stamp, truncation, amounts)
        except SteerError:
            return

    def _dial(self, request: gr.Request, edition: Any, stamp: Any, truncation: Any, *amounts: Any) -> Iterator[Seen]:
        """Set the sliders' values, and paint until the page shows the newest."""
        with plainly():
            self.frame.desk(request).dial(edition, stamp, truncation, amounts)
        yield from self._paint(request)

    def _paint(self, request: gr.Request) -> Iterator[Seen]:
        """Paint until the page shows the newest setting."""
        painted = False
        with plainly():
            for seen in paint(self.frame.anyone(request)):
                yield seen
                painted = True
        if not painted:
            yield (gr.skip(),) * 3  # a generator that yields nothing would empty the page

    def _settle(self, request: gr.Request) -> Iterator[Settled]:
        """Show texts and strips."""
        with plainly():
            yield from settle(self.frame.anyone(request))

    def _label(self, request: gr.Request, label: str) -> Update:
        return self._some(request, lambda session: session.label(None if label == ANY else label))

    def _birds(self, request: gr.Request, count: int) -> Update:
        return self._some(request, lambda session: session.birds(count))

    def _seed(self, request: gr.Request, seed: int | None) -> None:
        """Throw all dice with the seed that was typed; the box itself is left to the hand that types."""
        if seed is not None:
            self.frame.do(request, lambda session: session.throw(seed))

    def _throw(self, request: gr.Request) -> Update:
        return self._some(request, lambda session: session.throw(_random_seed()))

    def _throw_one(self, request: gr.Request, die: str | None) -> Update:
        return self._some(request, lambda session: session.throw_one(die or "", _random_seed()))

    def _reset(self, request: gr.Request) -> None:
        self.frame.do(request, Session.reset)

    def _show_strips(self, request: gr.Request, wanted: bool) -> None:
        with plainly():
            desk = self.frame.desk(request)
            desk.wants_strips, desk.settled, desk.strips = wanted, None, []

    def _save(self, request: gr.Request) -> Iterator[str]:
        """Write the PNG with its recipe; the page fetches it."""
        with plainly(), TemporaryDirectory() as folder:
            setting = self.frame.desk(request).session.setting
            path = Path(folder, setting.file_name)
            setting.recipe.save(path, setting.generator)
            yield str(path)

    def _some(self, request: gr.Request, verb: Callable[[Session], None]) -> Update:
        """Do something that leaves the sliders alone, and show the choices as they stand after."""
        return self._choices(self.frame.do(request, verb))

    def _choices(self, desk: Desk) -> Update:
        dice = desk.session.setting.dice
        label = dice.model.label
        dies = [(plain(name), name) for name in dice.model.dice_knobs]
        return {
            self.label: gr.Dropdown(
                [ANY, *(label.choices if label else ())], value=dice.label or ANY, visible=label is not None
            ),
            self.seed: None if dice.held else dice.seeds[0],
            self.die: gr.Dropdown(dies, visible=bool(dies)),
            self.throw_one: gr.Button(visible=bool(dies)),
            self.birds: dice.birds,
        }

    def _show(self, request: gr.Request) -> Update:
        """Show every control as the page's desk stands."""
        desk = self.frame.anyone(request)
        setting = desk.session.setting
        edition, knobs = desk.set_sliders(), list(desk.knobs.items())
        desk.settled, desk.strips = None, []
        measurer = setting.dice.model.measurer
        update: Update = {**self._choices(desk), self.truncation: setting.dice.truncation, self.edition: edition}
        dies = setting.dice.model.dice_knobs
        update[self.die] = gr.Dropdown(
            [(plain(name), name) for name in dies], value=dies[0] if dies else None, visible=bool(dies)
        )
        for place, (cell, slider) in enumerate(zip(self.cells, self.sliders, strict=True)):
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


def _random_seed() -> int:
    return random.randint(0, LARGEST_THROW)  # noqa: S311 - a die for the eye, not for secrets
