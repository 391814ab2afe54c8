"""Discover: any finder with its options as a form, what it finds as strips, and what a person makes of that."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr

from steer.apps.discovering import (
    STRIP_SEEDS,
    STRIP_STEPS,
    Candidate,
    Field,
    discover,
    fields_of,
    knob_set,
    with_knobs,
)
from steer.apps.setting import Model
from steer.apps.studio.desks import Desk
from steer.apps.studio.frame import EACH, FETCH, LATEST, Frame, plainly
from steer.apps.studio.panels import contact, number, plain
from steer.apps.studio.question_sheet import QuestionSheet
from steer.apps.studio.waiting import Waiting
from steer.errors import BadInput
from steer.knob import KnobSet
from steer.progress import Progress
from steer.registry import list_finders

FINDERS: Mapping[str, str] = {
    "probe": "turns an attribute",
    "pca": "varies most",
    "sefa": "weights amplify",
    "contrast": "from one set to another",
    "flow": "follows an attribute",
    "jacobian": "changes one picture",
    "geometry": "zooms and shifts",
    "clicks": "what you mean",
}
"""What the toolkit's own finders find, in a few words, in the order of the page; a stranger's stands by its name."""

ASKING = frozenset({"clicks"})
"""Finders that ask a person as they go on, sheet by sheet."""

POOL: tuple[tuple[frozenset[str], int, Callable[..., Any], dict[str, Any]], ...] = (
    (frozenset({"choices"}), 1, gr.Dropdown, {"choices": [], "multiselect": True}),
    (frozenset({"examples", "text", "pair"}), 4, gr.Textbox, {"max_lines": 1}),
    (frozenset({"choice"}), 4, gr.Dropdown, {"choices": []}),
    (frozenset({"whole", "number"}), 8, gr.Number, {}),
    (frozenset({"flag"}), 3, gr.Checkbox, {}),
)
"""Components for options, by kind, in the order of the form; made once, since those made on the fly lose what was
typed."""

JUDGED_SEEDS = 16
"""Samples of a scorecard on the page: quick rather than narrow."""

CHOOSE_CANDIDATE = """element.addEventListener("click", (event) => {
  const row = event.target.closest("button[data-place]");
  if (row) trigger("select", { place: Number(row.dataset.place) });
});"""

Update = dict[Any, Any]
"""New values by component."""


@dataclass(eq=False)
class Catch:
    """What one page has found on this tab.

    Attributes:
        model: what it was found on.
        candidates: the knobs as they were named, flipped, trimmed and windowed.
        strips: an address of each one's strips, as far as they are drawn.
        report: what the finder said.
        chosen: the one that is edited.
        chart: an address of the scorecard's page; empty while there is none.
    """

    model: Model
    candidates: list[Candidate] = field(default_factory=list)
    strips: list[str] = field(default_factory=list)
    report: Mapping[str, Any] = field(default_factory=dict)
    chosen: int = 0
    chart: str = ""

    def find(self, finder: str, filled: Mapping[str, Any], progress: Progress) -> None:
        """Find knobs, then draw their strips one after the other."""
        self.take(discover(finder, self.model, filled, progress), progress)

    def take(self, found: KnobSet, progress: Progress) -> None:
        """Take knobs up after those that there are, and draw their strips; the first of them is edited."""
        first = len(self.candidates)
        for done, knob in enumerate(found.values(), start=1):
            strip = contact(Candidate(knob).strip(self.model), STRIP_STEPS)
            self.candidates.append(Candidate(knob))
            self.strips.append(strip)
            self.report, self.chosen, self.chart = {**self.report, **found.report}, first, ""
            progress(done, len(found))

    def edit(self, change: Callable[[Candidate], Candidate]) -> None:
        """Change the candidate that is edited, and draw its strips anew."""
        candidate = change(self.candidates[self.chosen])
        self.strips[self.chosen] = contact(candidate.strip(self.model), STRIP_STEPS)
        self.candidates[self.chosen] = candidate
        self.chart = ""

    def judge(self, progress: Progress) -> None:
        """Measure what each knob does, and draw the scorecard's page."""
        from steer.directions.scorecard import scorecard

        knobs = knob_set(self.candidates, self.report)
        with TemporaryDirectory() as folder:
            path = Path(folder, "scorecard.svg")
            scorecard(self.model.generator, knobs, seeds=JUDGED_SEEDS, progress=progress).figure(path)
            self.chart = f"data:image/svg+xml;base64,{b64encode(path.read_bytes()).decode('ascii')}"


class Discover:
    """The tab of finders."""

    name = "Discover"

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._catches: WeakKeyDictionary[Desk, Catch] = WeakKeyDictionary()
        self._forms: WeakKeyDictionary[Desk, tuple[str, Model]] = WeakKeyDictionary()
        names = [entry.name for entry in list_finders()]
        self._finders = sorted(names, key=lambda name: list(FINDERS).index(name) if name in FINDERS else len(FINDERS))
        self._waiting = Waiting(frame, "discover", "Looking")
        self._questions = QuestionSheet(frame)

    def lay_out(self) -> None:
        """See `Tab.lay_out`."""
        with gr.Row(elem_id="discover-desk", elem_classes="tab-desk"):
            with gr.Column(elem_classes="tab-choose", min_width=220):
                named = [(f"{name}: {FINDERS[name]}" if name in FINDERS else name, name) for name in self._finders]
                self._finder = gr.Dropdown(
                    named, value=self._finders[0], label="Finder", info="How to look for knobs.", elem_id="finder"
                )
                with gr.Column(elem_id="discover-form"):
                    self._slots = [
                        (kinds, make(label=f"option {place}", visible=False, **options))
                        for kinds, count, make, options in POOL
                        for place in range(count)
                    ]
                self._find = gr.Button("Find knobs", variant="primary", elem_id="find")
            with gr.Column(elem_classes="tab-look", min_width=320):
                self._waiting.lay_out()
                self._questions.lay_out()
                self._view = gr.HTML(elem_id="discover-view", js_on_load=CHOOSE_CANDIDATE)
                self._chart = gr.HTML(elem_id="discover-chart")
            with gr.Column(elem_classes="tab-side", min_width=260):
                self._questions.lay_knob()
                self._lay_editor()

    def _lay_editor(self) -> None:
        with gr.Column(visible=False, elem_id="candidate") as self._editor:
            gr.HTML('<h2>This knob</h2><p class="hint">Click another strip to edit that one.</p>')
            self._named = gr.Textbox(
                label="Name", elem_id="candidate-name", info="What you see in it; Enter keeps it.", max_lines=1
            )
            with gr.Row(elem_classes="ends"):
                self._low = gr.Number(label="From", elem_id="candidate-low", info="Lowest amount.")
                self._high = gr.Number(label="To", elem_id="candidate-high", info="Highest amount.")
            with gr.Row(elem_classes="ends"):
                self._start = gr.Number(
                    label="Window from", elem_id="candidate-start", info="0 is coarse.", minimum=0, maximum=1, step=0.05
                )
                self._end = gr.Number(
                    label="Window to", elem_id="candidate-end", info="1 is fine.", minimum=0, maximum=1, step=0.05
                )
            self._note = gr.Textbox(label="Note", elem_id="candidate-note", info="Saved with the knob.", max_lines=3)
            with gr.Row(elem_classes="tab-actions"):
                self._keep = gr.Button("Apply", variant="primary", elem_id="candidate-apply")
                self._flip = gr.Button("Flip", elem_id="candidate-flip")
            gr.HTML('<h2>All of them</h2><p class="hint">On Turn they stand above the shipped knobs.</p>')
            with gr.Row(elem_classes="tab-actions"):
                self._put = gr.Button("Put on sliders", variant="primary", elem_id="discover-put")
                self._judge = gr.Button("Measure", elem_id="discover-judge")
                self._save = gr.Button("Save knob file", elem_id="discover-save")
                self._saved = gr.DownloadButton(visible=False)

    def wire(self) -> None:
        """See `Tab.wire`."""
        shown = [*self._shown, *self._waiting.parts, *self._questions.parts]
        self._questions.wire()
        self._questions.keep.click(self._keep_clicked, None, shown, **EACH)
        self._finder.input(self._fill, self._finder, self._form, **LATEST)
        self._find.click(self._begin, [self._finder, *self._form], shown, **EACH)
        self._judge.click(self._measure, None, shown, **EACH)
        self._view.select(self._choose, None, self._shown, **EACH)
        edited = [self._named, self._low, self._high, self._start, self._end, self._note]
        gr.on([self._keep.click, self._named.submit], self._apply, edited, self._shown, **LATEST)
        self._flip.click(self._turn_round, None, self._shown, **LATEST)
        self.frame.changed(self._put.click(self._put_all, None, self.frame.places, **LATEST))
        self._save.click(self._write, None, self._saved, **LATEST).then(None, self._saved, None, js=FETCH)

    @property
    def _form(self) -> list[Any]:
        return [slot for _, slot in self._slots]

    @property
    def _shown(self) -> list[Any]:
        edited = [self._named, self._low, self._high, self._start, self._end, self._note]
        return [self._view, self._chart, self._editor, *edited]

    def follow(self, event: Any) -> None:
        """See `Tab.follow`."""
        event.then(self._show, None, [*self._form, *self._shown, *self._questions.parts], **LATEST)

    def _catch(self, request: gr.Request) -> Catch:
        return self._catches.setdefault(self.frame.anyone(request), Catch(self._model(request)))

    def _model(self, request: gr.Request) -> Model:
        return self.frame.anyone(request).session.setting.dice.model

    def _placed(self, finder: str, model: Model) -> dict[int, Field]:
        """Return which option stands in which component of the pool; one that finds no place keeps its default."""
        free, placed = list(range(len(self._slots))), {}
        for option in fields_of(finder, model):
            place = next((each for each in free if option.kind in self._slots[each][0]), None)
            if place is not None:
                free.remove(place)
                placed[place] = option
        return placed

    def _fill(self, request: gr.Request, finder: str) -> Any:
        """Lay out the form of a finder, unless it stands there: what was typed since then is left alone."""
        desk, model = self.frame.anyone(request), self._model(request)
        if self._forms.get(desk) == (finder, model):
            return gr.skip()
        self._forms[desk] = finder, model
        placed = self._placed(finder, model)
        return {slot: _filled(slot, placed.get(place)) for place, slot in enumerate(self._form)}

    def _show(self, request: gr.Request) -> Any:
        """Begin anew where another generator was chosen."""
        desk, model = self.frame.anyone(request), self._model(request)
        finder, laid_for = self._forms.get(desk, (self._finders[0], None))
        if laid_for is model:
            return gr.skip()
        self._catches[desk] = Catch(model)
        self._questions.end(desk)
        return {**self._stand(self._catches[desk]), **self._questions.stand(desk), **self._fill(request, finder)}

    def _begin(self, request: gr.Request, finder: str, *values: Any) -> Iterator[Update]:
        """Find knobs while the page shows how far that is, then how they look; or begin to ask for one."""
        desk = self.frame.anyone(request)
        with plainly():
            catch = Catch(self._model(request))
            filled = {option.name: values[place] for place, option in self._placed(finder, catch.model).items()}

            def find(progress: Progress) -> None:
                self._catches[desk] = catch
                catch.find(finder, filled, progress)

            def ask(progress: Progress) -> None:
                self._questions.begin(desk, catch.model, filled, progress)

            work = ask if finder in ASKING else find
            yield from self._waiting.show(desk, work, lambda: {self._view: view_html(self._catch(request))})
        yield {**self._stand(self._catch(request)), **self._questions.stand(desk), **self._waiting.idle(desk)}

    def _keep_clicked(self, request: gr.Request) -> Iterator[Update]:
        """Find the knob that was clicked at, while the page shows how far that is, and ask no more."""
        desk = self.frame.anyone(request)
        with plainly():
            interview, catch = self._questions.of(desk), self._catch(request)
            yield from self._waiting.show(desk, lambda progress: catch.take(interview.find(progress), progress))
            self._questions.end(desk)
        yield {**self._stand(self._catch(request)), **self._questions.stand(desk), **self._waiting.idle(desk)}

    def _measure(self, request: gr.Request) -> Iterator[Update]:
        """Measure what the knobs do while the page shows how far that is."""
        desk, catch = self.frame.anyone(request), self._catch(request)
        with plainly():
            yield from self._waiting.show(desk, catch.judge)
        yield {**self._stand(self._catch(request)), **self._waiting.idle(desk)}

    def _choose(self, request: gr.Request, chosen: gr.EventData) -> Update:
        """Edit the knob whose strips were clicked."""
        catch, place = self._catch(request), getattr(chosen, "place", None)
        if isinstance(place, int) and 0 <= place < len(catch.strips):
            catch.chosen = place
        return self._stand(catch)

    def _apply(
        self, request: gr.Request, name: str, low: float, high: float, start: float, end: float, note: str
    ) -> Update:
        """Name, trim, window and note the knob as the editor says."""
        catch = self._catch(request)
        with plainly():
            if None in (low, high, start, end):
                raise BadInput("range and window are numbers; fill all four in")
            catch.edit(lambda each: each.named(name).trimmed(low, high).windowed(start, end).noted(note or ""))
        return self._stand(catch)

    def _turn_round(self, request: gr.Request) -> Update:
        """Flip the knob."""
        catch = self._catch(request)
        with plainly():
            catch.edit(Candidate.flipped)
        return self._stand(catch)

    def _put_all(self, request: gr.Request) -> Any:
        """Put the knobs on Turn's sliders and go there."""
        catch = self._catch(request)
        if not catch.candidates:
            return gr.skip()
        self.frame.do(request, lambda session: session.adopt(with_knobs(session.setting, catch.candidates)))
        return gr.Tabs(selected="Turn")

    def _write(self, request: gr.Request) -> Iterator[str]:
        """Write the knobs as a file; the page fetches it."""
        catch = self._catch(request)
        with plainly(), TemporaryDirectory() as folder:
            path = Path(folder, "knobs.safetensors")
            knob_set(catch.candidates, catch.report).save(path)
            yield str(path)

    def _stand(self, catch: Catch) -> Update:
        """Show how things stand."""
        update: Update = {
            self._view: view_html(catch),
            self._chart: f'<img src="{catch.chart}" alt="Scorecard of these knobs">' if catch.chart else "",
            self._editor: gr.Column(visible=bool(catch.strips)),
        }
        if catch.strips:
            candidate = catch.candidates[catch.chosen]
            knob = candidate.knob
            update |= {
                self._named: knob.name,
                self._low: knob.range[0],
                self._high: knob.range[1],
                self._start: knob.window.start,
                self._end: knob.window.end,
                self._note: candidate.note,
            }
        return update


def _filled(slot: Any, option: Field | None) -> Any:
    """Return a component of the pool as an option fills it, or hidden."""
    if option is None:
        return type(slot)(visible=False)
    extra: dict[str, Any] = {}
    if option.kind in ("choice", "choices"):
        extra["choices"] = [(plain(str(each)), each) for each in option.choices]
    if option.kind == "whole":
        extra["precision"] = 0
    return type(slot)(
        value=option.value, label=plain(option.name).capitalize(), info=option.help, visible=True, **extra
    )


def view_html(catch: Catch) -> str:
    """Show each candidate over its range on a few seeds, or say what to do."""
    if not catch.strips:
        return (
            '<div class="empty"><h2>Look for new knobs</h2><p>Choose how to look. Everything found is shown over its '
            "range on several birds; name what you recognise, flip it, trim it, and put it on the sliders.</p></div>"
        )
    rows = "".join(map(_candidate_html, [catch] * len(catch.strips), range(len(catch.strips))))
    return f'<ol class="candidates" aria-label="Found knobs">{rows}</ol>'


def _candidate_html(catch: Catch, place: int) -> str:
    candidate = catch.candidates[place]
    knob = candidate.knob
    ends = " to ".join(number(end, knob.unit) for end in knob.range)
    chosen = ' aria-current="true"' if place == catch.chosen else ""
    note = f"<small>{escape(candidate.note)}</small>" if candidate.note else ""
    said = escape(f"{plain(knob.name)} from {ends}, on {len(STRIP_SEEDS)} seeds")
    return (
        f'<li><button type="button" data-place="{place}"{chosen} title="Edit this knob">'
        f'<span class="about"><b>{escape(plain(knob.name))}</b><span>{escape(ends)}</span>{note}</span>'
        f'<img src="{catch.strips[place]}" alt="{said}"></button></li>'
    )
