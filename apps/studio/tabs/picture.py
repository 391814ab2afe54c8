"""Picture: any picture in, inverted, with an honest report; then the same knobs."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr
from torch import Tensor

from steer.apps.inverting import FAMILIAR, Inverted, can_invert, crop, described, familiarity, invert
from steer.apps.setting import Model
from steer.apps.studio.desks import Desk
from steer.apps.studio.frame import EACH, FETCH, LATEST, Frame, plainly
from steer.apps.studio.panels import LARGEST_PNG, addresses
from steer.apps.studio.waiting import Waiting
from steer.errors import BadInput
from steer.prepare import Prepared

MIXED = "let it find out"
"""The choice that asks for no class."""

PASTE = """() => document.addEventListener("paste", (event) => {
  const field = document.querySelector("#picture-file input[type=file]");
  if (!field?.closest("[role=tabpanel]")?.offsetParent || !event.clipboardData.files.length) return;
  event.preventDefault();
  field.files = event.clipboardData.files;
  field.dispatchEvent(new Event("change", { bubbles: true }));
})"""
"""Takes a pasted picture as if it had been chosen, while the tab is open."""

Update = dict[Any, Any]
"""New values by component."""


@dataclass(eq=False)
class Easel:
    """What one page has brought to this tab.

    Attributes:
        model: the model that it is to be inverted by.
        prepared: the picture as the model takes it.
        inverted: what came of it.
    """

    model: Model | None = None
    prepared: Prepared | None = None
    inverted: Inverted | None = None


class Picture:
    """The tab that takes a picture in."""

    name = "Picture"

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._easels: WeakKeyDictionary[Desk, Easel] = WeakKeyDictionary()
        self._waiting = Waiting(frame, "invert", "Inverting")

    def lay_out(self) -> None:
        """See `Tab.lay_out`."""
        with gr.Row(elem_id="picture-desk", elem_classes="tab-desk"):
            with gr.Column(elem_classes="tab-choose", min_width=220):
                gr.HTML('<h2>Your picture</h2><p class="hint">Choose a file, drop one, or paste with Ctrl+V.</p>')
                self._file = gr.File(
                    file_types=["image"], label="Your picture", show_label=False, height=150, elem_id="picture-file"
                )
                self._label = gr.Dropdown(
                    [MIXED],
                    value=MIXED,
                    label="What it shows",
                    info="A class to draw it with; left open, the closest mixture.",
                    visible=False,
                    elem_id="picture-label",
                )
                self._words = gr.Textbox(
                    label="In words",
                    info="What it shows; knobs of words turn what is said here. May stay empty.",
                    visible=False,
                    elem_id="picture-words",
                )
                self._invert = gr.Button("Invert", variant="primary", interactive=False, elem_id="invert")
                self._waiting.lay_out()
            with gr.Column(elem_classes="tab-look", min_width=320):
                self._view = gr.HTML(elem_id="picture-view")
            with gr.Column(elem_classes="tab-side", min_width=260):
                self._report = gr.HTML(elem_id="picture-report")
                with gr.Row(elem_classes="tab-actions"):
                    self._turn = gr.Button("Turn its knobs", variant="primary", visible=False, elem_id="picture-turn")
                    self._save = gr.Button("Save PNG", visible=False, elem_id="picture-save")
                    self._saved = gr.DownloadButton(visible=False)

    def wire(self) -> None:
        """See `Tab.wire`."""
        shown = [self._view, self._report, self._invert, self._turn, self._save]
        takes = [self._file.upload, self._file.clear]
        for take in takes:
            take(self._take, self._file, [*shown, self._words], **LATEST)
        self._invert.click(
            self._begin,
            [self._label, self._words],
            [*shown, *self._waiting.parts],
            **EACH,
        )
        held = self._turn.click(self._hold, None, self.frame.places, **LATEST)
        self.frame.changed(held)
        self._save.click(self._keep, None, self._saved, **LATEST).then(None, self._saved, None, js=FETCH)
        self.frame.demo.load(None, js=PASTE)

    def follow(self, event: Any) -> None:
        """See `Tab.follow`."""
        event.then(
            self._show,
            self._file,
            [self._label, self._words, self._view, self._report, self._invert, self._turn, self._save],
            **LATEST,
        )

    def _easel(self, request: gr.Request) -> Easel:
        return self._easels.setdefault(self.frame.anyone(request), Easel())

    def _take(self, request: gr.Request, path: str | None) -> Update:
        """Show a picture as the model would take it, and say what is seen on it."""
        easel = self._easel(request)
        easel.model = self.frame.anyone(request).session.setting.dice.model
        easel.prepared = easel.inverted = None
        if path is not None:
            with plainly(hidden=f"{Path(path).parent}/"):
                easel.prepared = crop(easel.model, path)
        seen = described(easel.model.generator, easel.prepared.picture) if easel.prepared else {}
        words = gr.Textbox(value=next(iter(seen.values()), ""), visible=easel.model.caption is not None)
        return {**self._stand(easel), self._words: words}

    def _begin(self, request: gr.Request, label: str, words: str | None) -> Iterator[Update]:
        """Invert the picture while the page shows how far that is."""
        easel, desk = self._easel(request), self.frame.anyone(request)
        with plainly():
            model, prepared = easel.model, easel.prepared
            if model is None or prepared is None:
                raise BadInput("there is no picture to invert yet; choose one, drop one or paste one")
            condition = _condition(model, label, words)
            inverted = yield from self._waiting.show(
                desk, lambda progress: invert(model, prepared, condition, progress)
            )
            if easel.prepared is prepared:  # else another picture came meanwhile
                easel.inverted = inverted
        yield {**self._stand(easel), **self._waiting.idle(desk)}

    def _hold(self, request: gr.Request) -> Any:
        """Go on from the inverted picture on the tab with the knobs."""
        inverted = self._easel(request).inverted
        if inverted is None:
            return gr.skip()
        self.frame.do(request, lambda session: session.adopt(inverted.setting))
        return gr.Tabs(selected="Turn")

    def _keep(self, request: gr.Request) -> Iterator[str]:
        """Write the inverted picture as a PNG with its recipe; the page fetches it."""
        inverted = self._easel(request).inverted
        if inverted is not None:
            with plainly(), TemporaryDirectory() as folder:
                path = Path(folder, f"{inverted.model.generator.name}-inverted.png")
                inverted.setting.recipe.save(path, inverted.setting.generator)
                yield str(path)

    def _show(self, request: gr.Request, path: str | None) -> Update:
        """Show what the generator that is chosen makes of the tab; the picture is taken again by another one."""
        easel, model = self._easel(request), self.frame.anyone(request).session.setting.dice.model
        if easel.model is model:
            return self._stand(easel)
        update = self._take(request, path if can_invert(model) else None)
        classes = [MIXED, *(model.label.choices if model.label else ())]
        return {**update, self._label: gr.Dropdown(classes, value=MIXED, visible=model.label is not None)}

    def _stand(self, easel: Easel) -> Update:
        """Show how things stand."""
        done = easel.inverted is not None
        return {
            self._view: view_html(easel.model, easel.prepared, easel.inverted),
            self._report: report_html(easel.model, easel.prepared, easel.inverted),
            self._invert: gr.Button(interactive=easel.prepared is not None),
            self._turn: gr.Button(visible=done),
            self._save: gr.Button(visible=done),
        }


def _condition(model: Model, label: str, words: str | None) -> dict[str, str]:
    """Return what was said to be in the picture, by condition."""
    said = {"label": "" if label == MIXED else label, "text": (words or "").strip()}
    kinds = {each.kind: each.name for each in model.generator.conditions.values()}
    return {kinds[kind]: what for kind, what in said.items() if what and kind in kinds}


def view_html(model: Model | None, prepared: Prepared | None, inverted: Inverted | None) -> str:
    """Show the crop beside what was found for it, or say what to do."""
    if model is None or not can_invert(model):
        name = escape(model.generator.name) if model else "this generator"
        return (
            f'<div class="empty"><h2>{name} draws, but cannot look</h2><p>It has no way back from a picture to its '
            "dice. Choose a generator above that has one, such as aviary-biggan.</p></div>"
        )
    if prepared is None:
        height, width = model.generator.backend.picture_size
        return (
            '<div class="empty"><h2>Bring a picture</h2><p>It is cropped to '
            f"{width}×{height} pixels, all that {escape(model.generator.name)} sees. Then its dice are found, and the "
            "knobs turn your picture.</p></div>"
        )
    cells = [_figure(prepared.picture, "your picture, as the generator takes it")]
    if inverted is not None:
        cells.append(_figure(inverted.alone, "what its latent alone leads to"))
    notes = "".join(f"<li>{escape(note)}</li>" for note in prepared.notes)
    done = f'<ul class="notes" aria-label="What was done to the picture">{notes}</ul>' if notes else ""
    return f'<div class="pair pair-{len(cells)}">{"".join(cells)}</div>{done}'


def _figure(picture: Tensor, caption: str) -> str:
    height, width = picture.shape[-2:]
    small = " small" if height <= LARGEST_PNG else ""
    return (
        f'<figure class="birds birds-1{small}"><span><img src="{addresses(picture)[0]}" width="{width}" '
        f'height="{height}" alt="{escape(caption)}"></span><figcaption>{escape(caption)}</figcaption></figure>'
    )


def report_html(model: Model | None, prepared: Prepared | None, inverted: Inverted | None) -> str:
    """Say how well the picture is known, and how well the inversion went."""
    if model is None or prepared is None:
        return ""
    known = familiarity(model, prepared.picture)
    outside = known is not None and known < FAMILIAR
    rows = [] if known is None else [("known to the judge", f"{known:.2f} of 1", "how far it has seen such pictures")]
    complaints: tuple[str, ...] = ()
    if inverted is not None:
        report = inverted.inversion.report
        rows = [
            ("likeness", f"{report.psnr:.1f} dB", "of what the latent alone leads to; from 25 on it is close"),
            ("error", f"{report.error:.3f} of 1", "mean difference of a pixel, without the anchor"),
            *rows,
            ("took", f"{report.seconds:.1f} s", f"{report.calls} calls of the network"),
        ]
        complaints = report.complaints
    head = "How well it went" if inverted is not None else "Before you invert"
    lines = "".join(
        f'<div role="row" data-name="{name}"><dt>{name}</dt><dd><b>{value}</b><small>{what}</small></dd></div>'
        for name, value, what in rows
    )
    warning = (
        f'<p class="warning" role="alert"><b>Outside what {escape(model.generator.name)} knows.</b> It looks unlike '
        "everything that the generator was taught. It may find its nearest picture rather than yours, and knobs may do "
        "other things than they say, or nothing.</p>"
    )
    said = "".join(f'<p class="complaint">{escape(_sentence(each))}</p>' for each in complaints)
    return f'<section class="facts"><h2>{head}</h2>{warning if outside else ""}{said}<dl>{lines}</dl></section>'


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
