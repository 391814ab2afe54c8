"""Turn: dice and knobs, the picture that follows the hand, and what the judge makes of it."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr

from steer.apps.session import Session
from steer.apps.setting import COLUMNS, LARGEST_SEED, MOST_STEPS, TYPICAL
from steer.apps.studio.board import describe
from steer.apps.studio.desks import Desk
from steer.apps.studio.drawing import describe_drawing
from steer.apps.studio.frame import EACH, FETCH, LATEST, Frame, plainly
from steer.apps.studio.live import calls
from steer.apps.studio.panels import descriptions, plain, thumb

ANY = "any (the seed decides)"
"""The choice that asks for no class."""

LARGEST_THROW = 9_999
"""Seeds that a throw draws from: small enough to be said aloud."""

DRAWN_KIND = "(file) => [file, steer.drawnKind]"
"""Says what kind of drawing a picture that was brought shall be."""

VIEWS = {"Picture": "plain", "Before and after": "before", "Difference": "difference"}
"""Ways to look at a picture, and their names in the scripts."""

VIEW = f"(view) => steer.pump.view({json.dumps(VIEWS)}[view])"

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
                self._lay_view()
            with gr.Column(elem_id="turn", min_width=300):
                with gr.Row(elem_id="knob-bar"):
                    gr.HTML('<h2>Knobs</h2><p class="hint">0 leaves the dice as they fell.</p>')
                    self.reset = gr.Button("Reset all", size="sm", elem_id="reset")
                self.board = gr.HTML(
                    {},
                    html_template="",
                    js_on_load="steer.board({ element, props, server, watch, rest: () => trigger('rest') })",
                    server_functions=calls(self.frame.desks),
                    elem_id="board",
                )
        with gr.Column(elem_id="keep"):
            self._lay_keeping()

    def _lay_view(self) -> None:
        with gr.Row(elem_id="view-bar"):
            self.undo = gr.Button("Undo", size="sm", elem_id="undo")
            self.redo = gr.Button("Redo", size="sm", elem_id="redo")
            self.view = gr.Radio(list(VIEWS), value="Picture", show_label=False, label="View", elem_id="view")
        gr.HTML(html_template="", js_on_load="steer.view({ element })", elem_id="picture")
        self.history = gr.HTML(
            {},
            html_template="",
            js_on_load="steer.history({ element, props, watch, select: (step) => trigger('select', step) })",
            elem_id="history",
        )
        self.readings = gr.HTML(
            html_template="",
            js_on_load="steer.readings({ element, lock: (lock) => trigger('lock', lock) })",
            elem_id="readings",
        )

    def _lay_choices(self) -> None:
        self.label = gr.Dropdown(
            [ANY], value=ANY, label="Class", info="What to draw; the dice stay as they are.", elem_id="label"
        )
        self.caption = gr.Textbox(
            label="Caption",
            info="What to draw, in words; Enter draws it. Most knobs turn what is said here, so say it.",
            max_lines=3,
            visible=False,
            elem_id="caption",
        )
        self.suggest = gr.Button("Other words", size="sm", visible=False, elem_id="suggest")
        self.drawing = gr.HTML(
            {}, html_template="", js_on_load="steer.drawing({ element, props, watch })", elem_id="drawing"
        )
        self.kind = gr.Textbox(visible=False)
        self.photo = gr.UploadButton("Use a picture", file_types=["image"], elem_id="drawing-photo")
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
            value=TYPICAL,
            step=0.05,
            label="Truncation",
            info="Draws the dice in: smaller is more typical, less varied.",
            elem_id="truncation",
        )
        self.steps = gr.Number(
            label="Steps",
            info="To the picture at rest: more are finer, fewer are quicker.",
            precision=0,
            minimum=1,
            maximum=MOST_STEPS,
            visible=False,
            elem_id="steps",
        )
        self.birds = gr.Radio(
            list(COLUMNS), value=1, label="Pictures", info="The same turns on this many seeds.", elem_id="birds"
        )

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
    def controls(self) -> list[Any]:
        """What shows the session's choices."""
        choices = [self.label, self.caption, self.suggest, self.seed, self.die, self.throw_one, self.birds]
        return [*choices, self.truncation, self.steps, self.board]

    @property
    def rested(self) -> list[Any]:
        """What follows once the hand rests."""
        return [self.command, self.python, self.history, self.undo, self.redo]

    def wire(self) -> None:
        """See `Tab.wire`."""
        self.label.input(self._label, self.label, self.controls, **LATEST)
        self.birds.input(self._birds, self.birds, self.controls, **LATEST)
        asked = [self.caption.submit, self.caption.blur]
        gr.on(asked, self._caption, self.caption, self.board, **LATEST)
        self.suggest.click(self._suggest, None, self.controls, **LATEST)
        gr.on([self.steps.submit, self.steps.blur], self._steps, self.steps, self.board, **LATEST)
        photo = self.photo.upload(self._draw_photo, [self.photo, self.kind], None, js=DRAWN_KIND, **EACH)
        self.frame.changed(photo)
        self.seed.input(self._seed, self.seed, self.board, **LATEST)
        self.throw.click(self._throw, None, self.controls, **LATEST)
        self.throw_one.click(self._throw_one, self.die, self.controls, **LATEST)
        gr.on([self.truncation.input, self.truncation.release], self._truncation, self.truncation, self.board, **LATEST)
        self.view.input(None, self.view, None, js=VIEW)
        self.board.rest(self._rest, None, self.rested, **LATEST)
        for event in (
            self.reset.click(self._reset, None, None, **LATEST),
            self.undo.click(self._undo, None, None, **EACH),
            self.redo.click(self._redo, None, None, **EACH),
            self.history.select(self._go_back, None, None, **EACH),
        ):
            self.frame.changed(event)
        self.readings.lock(self._lock, None, self.board, **EACH)
        self.save.click(self._save, None, self.saved, **LATEST).then(None, self.saved, None, js=FETCH)

    def follow(self, event: Any) -> None:
        """See `Tab.follow`."""
        event.then(self._show, None, [*self.controls, self.drawing], **LATEST)

    def _rest(self, request: gr.Request) -> list[Any]:
        """Keep the step, and say it in code."""
        desk = self.frame.anyone(request)
        session = desk.session
        session.remember()
        steps, place = session.history.steps, session.history.place
        desk.thumbs = {step: desk.thumbs.get(step) or thumb(desk.glimpse(step)) for step in steps}
        history = {
            "place": place,
            "steps": [{"address": desk.thumbs[step], "text": descriptions(step)[0]} for step in steps],
        }
        return [
            session.as_command(),
            session.as_python(),
            history,
            gr.Button(interactive=place > 0),
            gr.Button(interactive=place < len(steps) - 1),
        ]

    def _label(self, request: gr.Request, label: str) -> Any:
        """Ask for a class; the list that is merely left says the same class again."""
        wanted = None if label == ANY else label
        if wanted == self.frame.anyone(request).session.setting.dice.label:
            return gr.skip()
        return self._some(request, lambda session: session.label(wanted))

    def _caption(self, request: gr.Request, caption: str) -> Any:
        return self._anew(request, lambda session: session.caption(caption or ""))

    def _suggest(self, request: gr.Request) -> Update:
        return self._some(request, lambda session: session.suggest(_random_seed()))

    def _draw_photo(self, request: gr.Request, path: str, kind: str) -> None:
        """Put a picture that somebody brings onto the pad."""
        with plainly(hidden=f"{Path(path).parent}/"):
            self.frame.desk(request).do(lambda session: session.draw(kind, path))

    def _steps(self, request: gr.Request, steps: int | None) -> Any:
        return gr.skip() if steps is None else self._anew(request, lambda session: session.steps(steps))

    def _anew(self, request: gr.Request, verb: Callable[[Session], None]) -> Any:
        """Let the page look again if something was changed; a field that is merely left changes nothing."""
        before = self.frame.anyone(request).session.setting
        desk = self.frame.do(request, verb)
        return gr.skip() if desk.session.setting is before else describe(desk)

    def _birds(self, request: gr.Request, count: int) -> Update:
        return self._some(request, lambda session: session.birds(count))

    def _seed(self, request: gr.Request, seed: int | None) -> Any:
        """Throw all dice with the seed that was typed; the box itself is left to the hand that types."""
        return gr.skip() if seed is None else describe(self.frame.do(request, lambda session: session.throw(seed)))

    def _throw(self, request: gr.Request) -> Update:
        return self._some(request, lambda session: session.throw(_random_seed()))

    def _throw_one(self, request: gr.Request, die: str | None) -> Update:
        return self._some(request, lambda session: session.throw_one(die or "", _random_seed()))

    def _truncation(self, request: gr.Request, truncation: float) -> Any:
        """Draw the dice in; the field that is merely left says the same truncation again."""
        if truncation == self.frame.anyone(request).session.setting.dice.truncation:
            return gr.skip()
        return describe(self.frame.do(request, lambda session: session.truncation(truncation)))

    def _reset(self, request: gr.Request) -> None:
        self.frame.do(request, Session.reset)

    def _undo(self, request: gr.Request) -> None:
        self.frame.do(request, Session.undo)

    def _redo(self, request: gr.Request) -> None:
        self.frame.do(request, Session.redo)

    def _go_back(self, request: gr.Request, step: gr.EventData) -> None:
        self.frame.do(request, lambda session: session.go_back(int(step.place)))

    def _lock(self, request: gr.Request, lock: gr.EventData) -> dict[str, Any]:
        return describe(self.frame.do(request, lambda session: session.lock(str(lock.name), bool(lock.locked))))

    def _save(self, request: gr.Request) -> Iterator[str]:
        """Write the PNG with its recipe; the page fetches it."""
        with plainly(), TemporaryDirectory() as folder:
            setting = self.frame.desk(request).session.setting
            path = Path(folder, setting.file_name)
            setting.recipe.save(path, setting.generator)
            yield str(path)

    def _some(self, request: gr.Request, verb: Callable[[Session], None]) -> Update:
        """Do something that leaves the knobs as they are, and show the choices as they stand after."""
        return self._choices(self.frame.do(request, verb))

    def _show(self, request: gr.Request) -> Update:
        """Show every control as the page's desk stands."""
        desk = self.frame.anyone(request)
        desk.revise()
        dies = desk.session.setting.dice.model.dice_knobs
        die = gr.Dropdown([(plain(name), name) for name in dies], value=next(iter(dies), None), visible=bool(dies))
        return {**self._choices(desk), self.die: die, self.drawing: describe_drawing(desk)}

    def _choices(self, desk: Desk) -> Update:
        dice = desk.session.setting.dice
        label, dies = dice.model.label, dice.model.dice_knobs
        classes = [ANY, *(label.choices if label else ())]
        return {
            self.label: gr.Dropdown(classes, value=dice.label or ANY, visible=label is not None),
            self.caption: gr.Textbox(value=dice.caption, visible=dice.model.caption is not None),
            self.suggest: gr.Button(visible=bool(dice.model.suggested(0))),
            self.seed: None if dice.held else dice.seeds[0],
            self.die: gr.skip(),
            self.throw_one: gr.Button(visible=bool(dies)),
            self.birds: dice.birds,
            self.truncation: gr.Slider(value=dice.truncation, visible=dice.model.truncates),
            self.steps: gr.Number(
                value=dice.steps, visible=dice.model.final is not None and dice.latent.anchor is None
            ),
            self.board: describe(desk),
        }


def _random_seed() -> int:
    return random.randint(0, LARGEST_THROW)  # noqa: S311 - a die for the eye, not for secrets
