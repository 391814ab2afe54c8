"""The sheet on Discover that asks: pictures, more, less or skip for each, and beside it the knob as it appears."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr

from steer.apps.discovering import STRIP_SEEDS, STRIP_STEPS
from steer.apps.interview import Interview
from steer.apps.setting import Model
from steer.apps.studio.desks import Desk
from steer.apps.studio.frame import EACH, Frame, plainly
from steer.apps.studio.panels import addresses, contact, plain
from steer.directions.clicks import Clicks
from steer.errors import BadInput
from steer.progress import Progress

ANSWER = """let asked = null;
element.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  form.setAttribute("aria-busy", "true");
  asked = form.dataset.sheet;
  const said = [...form.querySelectorAll("input:checked")].map((input) => input.value);
  trigger("select", { sheet: Number(asked), said });
});
new MutationObserver(() => {
  const form = element.querySelector("form");
  if (!asked || !form || form.dataset.sheet === asked) return;
  asked = null;
  form.removeAttribute("aria-busy");
  form.reset();  // the page keeps what did not change, such as radios, and with them what was chosen
  form.querySelector("input:checked").focus({ preventScroll: true });
}).observe(element, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-sheet"] });"""

ANSWERS: Mapping[str, str] = {"more": "More", "less": "Less", "skip": "Skip"}

MOST_GROWTH = 10
"""Strips of how the knob came about; the latest sheets."""

Update = dict[Any, Any]
"""New values by component."""


class QuestionSheet:
    """The place on the page where a person is interviewed; empty while nobody is.

    Args:
        frame: the frame of the page.
    """

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._interviews: WeakKeyDictionary[Desk, Interview] = WeakKeyDictionary()

    def lay_out(self) -> None:
        """Make the place of the sheet."""
        self._sheet = gr.HTML(elem_id="clicks-sheet", js_on_load=ANSWER, min_height=0)
        with gr.Row(elem_id="clicks-actions", elem_classes="tab-actions", visible=False) as self._actions:
            self.keep = gr.Button("Stop and keep the knob", elem_id="clicks-keep")
            self._leave = gr.Button("Stop without it", elem_id="clicks-leave")

    def lay_knob(self) -> None:
        """Make the place of the knob."""
        self._knob = gr.HTML(elem_id="clicks-knob", min_height=0)

    def wire(self) -> None:
        """Say what happens when a sheet is answered."""
        self._sheet.select(self._answer, None, self.parts, **EACH)
        self._leave.click(self._stop, None, self.parts, **EACH)

    @property
    def parts(self) -> list[Any]:
        """The components, to be named among the outputs of what begins or ends the asking."""
        return [self._sheet, self._knob, self._actions, self.keep]

    def begin(self, desk: Desk, model: Model, filled: Mapping[str, Any], progress: Progress) -> None:
        """Begin to ask the person at a desk, as a form says."""
        self._interviews[desk] = Interview.begin(model, filled, progress)

    def of(self, desk: Desk) -> Interview:
        """Return what a person answered.

        Raises:
            BadInput: nobody is asked.
        """
        if desk not in self._interviews:
            raise BadInput("nothing was asked on this page yet; choose the finder clicks, then find knobs")
        return self._interviews[desk]

    def end(self, desk: Desk) -> None:
        """Ask no more."""
        self._interviews.pop(desk, None)

    def stand(self, desk: Desk) -> Update:
        """Show how things stand."""
        interview = self._interviews.get(desk)
        return {
            self._sheet: sheet_html(interview) if interview else "",
            self._knob: knob_html(interview) if interview else "",
            self._actions: gr.Row(visible=interview is not None),
            self.keep: gr.Button(interactive=interview is not None and interview.answering.sided),
        }

    def _answer(self, request: gr.Request, chosen: gr.EventData) -> Iterator[Update]:
        """Take the answers to a sheet, show the next one, then the knob as it is now."""
        desk = self.frame.anyone(request)
        with plainly():
            interview = self.of(desk)
            interview.answer(getattr(chosen, "sheet", None), getattr(chosen, "said", ()))
            yield {**self.stand(desk), self._knob: gr.skip()}
            interview.grow()
            yield {self._knob: self.stand(desk)[self._knob]}

    def _stop(self, request: gr.Request) -> Update:
        """Ask no more, and keep nothing."""
        desk = self.frame.anyone(request)
        self.end(desk)
        return self.stand(desk)


def sheet_html(interview: Interview) -> str:
    """Lay out the pictures that are asked about, each with its three answers."""
    answering = interview.answering
    pictures = addresses(interview.pictures) if answering.rows else []
    asked = "".join(_asked_html(number, len(pictures), each) for number, each in enumerate(pictures, start=1))
    name = answering.finder.name
    question = "More of it, or less?" if name == Clicks.name else f"More {plain(name)}, or less?"
    form = (
        f'<form data-sheet="{interview.sheet}"><div class="asked">{asked}</div>'
        '<button type="submit" class="next">Next sheet</button></form>'
        if pictures
        else '<p class="hint">Every picture was answered. Keep the knob.</p>'
    )
    return (
        f'<section class="asking" aria-label="Asking"><h2>{escape(question)}</h2>'
        '<p class="hint">Answer by what you mean; skip what is neither, or hard to tell.</p>'
        f"{_count_html(interview)}{form}</section>"
    )


def _count_html(interview: Interview) -> str:
    """Say how many answers there are, and how many sheets the finder would still like."""
    answering, counts = interview.answering, interview.answering.counts
    given, wanted = sum(counts.values()), answering.finder.answers
    said = f"{counts['more']} more, {counts['less']} less, {counts['skip']} skipped"
    answers = f"{given} answer{'' if given == 1 else 's'}: {said}" if given else "no answers yet"
    left = f"{answering.left} sheet{'' if answering.left == 1 else 's'} to go" if answering.left else "enough; go on?"
    return (
        f'<p class="pace" role="status"><b>Sheet {interview.sheet}</b><span>{answers}</span><span>{left}</span></p>'
        f'<progress max="{wanted}" value="{min(given, wanted)}" aria-label="Answers"></progress>'
    )


def _asked_html(number: int, count: int, address: str) -> str:
    radios = "".join(
        f'<label><input type="radio" name="asked-{number}" value="{said}"{" checked" if said == "skip" else ""}>'
        f"<span>{word}</span></label>"
        for said, word in ANSWERS.items()
    )
    return (
        f'<fieldset><legend>Picture {number} of {count}</legend><img src="{address}" alt="Picture {number}">'
        f'<div class="said">{radios}</div></fieldset>'
    )


def knob_html(interview: Interview) -> str:
    """Show the knob as the answers tell it, and below how it came about, sheet by sheet."""
    title = '<section class="so-far" aria-label="The knob so far"><h2>The knob so far</h2>'
    if not interview.growth:
        return (
            f'{title}<p class="hint">It appears here once one picture shows more and another less. '
            "You can stop at any time and keep it.</p></section>"
        )
    *earlier, (sheets, strip) = interview.growth.items()
    after = f"After {sheets} sheet{'' if sheets == 1 else 's'}, from least to most on {len(STRIP_SEEDS)} seeds."
    told = f"Of your answers, {interview.answering.told:.0%} are what the others foretell."
    rows = "".join(
        f"<li><span>{number}</span>"
        f'<img src="{contact(drawn[:STRIP_STEPS], STRIP_STEPS)}" alt="After {number} sheets, on one seed"></li>'
        for number, drawn in reversed(earlier[-MOST_GROWTH:])
    )
    growth = f'<h3>As it was, sheet by sheet</h3><ol class="growth">{rows}</ol>' if rows else ""
    latest = f'<img class="latest" src="{contact(strip, STRIP_STEPS)}" alt="The knob after {sheets} sheets">'
    return f'{title}<p class="hint">{after} {told}</p>{latest}{growth}</section>'
