"""The page: which components there are, and where they stand."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from steer.apps.setting import COLUMNS, LARGEST_SEED
from steer.apps.studio.desks import POOL

ANY = "any (the seed decides)"
"""The choice that asks for no class."""

TITLE = "latent-steer studio"

SHOW_STRIPS = """watch("value", () => {
  document.querySelectorAll(".knob img.strip").forEach((image, place) => {
    const [address, description] = props.value?.[place] ?? ["", ""];
    image.hidden = !address;
    if (address) image.src = address;
    image.alt = description;
  });
});"""
"""Hands each knob its strip: one component for all, since Gradio takes a millisecond for each that an event names."""


@dataclass(frozen=True, eq=False)
class Page:
    """Every component that an event reads or writes."""

    generator: gr.Dropdown
    label: gr.Dropdown
    seed: gr.Number
    throw: gr.Button
    die: gr.Dropdown
    throw_one: gr.Button
    truncation: gr.Slider
    birds: gr.Radio
    picture: gr.HTML
    status: gr.HTML
    readings: gr.HTML
    reset: gr.Button
    show_strips: gr.Checkbox
    cells: Sequence[gr.Column]
    sliders: Sequence[gr.Slider]
    strips: gr.HTML
    save: gr.Button
    saved: gr.DownloadButton
    dropped: gr.File
    python: gr.Textbox
    command: gr.Textbox
    edition: gr.Number
    stamp: gr.Number

    @property
    def choices(self) -> list[Any]:
        """What shows the session's choices, less the sliders."""
        return [self.generator, self.label, self.seed, self.die, self.throw_one, self.birds]

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


def lay_out(generators: Sequence[str]) -> Page:
    """Lay the page out within the open `gr.Blocks`."""
    parts: dict[str, Any] = {}
    gr.HTML(
        '<header class="masthead"><h1>latent-steer <span>studio</span></h1>'
        "<p>Dice in, picture out. Turn a knob, and see what really changed.</p></header>"
    )
    with gr.Row(elem_id="desk"):
        with gr.Column(elem_id="choose", min_width=220):
            _lay_choices(parts, generators)
        with gr.Column(elem_id="look", min_width=320):
            parts["picture"] = gr.HTML(elem_id="picture", label="Picture")
            parts["status"] = gr.HTML(elem_id="status")
            parts["readings"] = gr.HTML(elem_id="readings")
        with gr.Column(elem_id="turn", min_width=300):
            _lay_knobs(parts)
    with gr.Row(elem_id="keep"):
        _lay_keeping(parts)
    parts["edition"] = gr.Number(0, visible=False)
    parts["stamp"] = gr.Number(0, visible=False)
    return Page(**{field.name: parts[field.name] for field in fields(Page)})


def _lay_choices(parts: dict[str, Any], generators: Sequence[str]) -> None:
    parts["generator"] = gr.Dropdown(
        list(generators), value=generators[0], label="Generator", info="What draws the pictures.", elem_id="generator"
    )
    parts["label"] = gr.Dropdown(
        [ANY], value=ANY, label="Class", info="What to draw; the dice stay as they are.", elem_id="label"
    )
    with gr.Column(elem_id="dice"):
        parts["seed"] = gr.Number(
            0, label="Seed", info="Same seed, same dice.", precision=0, minimum=0, maximum=LARGEST_SEED, elem_id="seed"
        )
        parts["throw"] = gr.Button("Throw all dice", variant="primary", elem_id="throw")
        parts["die"] = gr.Dropdown([], label="One die", info="Throw it alone; the others are held.", elem_id="die")
        parts["throw_one"] = gr.Button("Throw this die", elem_id="throw-one")
    parts["truncation"] = gr.Slider(
        0.05,
        1,
        value=1,
        step=0.05,
        label="Truncation",
        info="Draws the dice in: smaller is more typical, less varied.",
        elem_id="truncation",
    )
    parts["birds"] = gr.Radio(
        list(COLUMNS), value=1, label="Pictures", info="The same turns on this many seeds.", elem_id="birds"
    )


def _lay_knobs(parts: dict[str, Any]) -> None:
    with gr.Row(elem_id="knob-bar"):
        gr.HTML('<h2>Knobs</h2><p class="hint">0 leaves the dice as they fell.</p>')
        parts["reset"] = gr.Button("Reset all", size="sm", elem_id="reset")
    parts["show_strips"] = gr.Checkbox(
        True, label="Show each knob over its whole range", elem_id="show-strips", container=False
    )
    cells, sliders = [], []
    with gr.Column(elem_id="knobs"):
        for place in range(POOL):
            with gr.Column(visible=False, elem_classes="knob", elem_id=f"knob-{place}") as cell:
                sliders.append(gr.Slider(-1, 1, value=0, step=0.05, label=f"knob {place}", buttons=["reset"]))
                gr.HTML('<img class="strip" alt="" hidden>')
            cells.append(cell)
    parts.update(cells=cells, sliders=sliders)
    parts["strips"] = gr.HTML([], html_template="", js_on_load=SHOW_STRIPS)


def _lay_keeping(parts: dict[str, Any]) -> None:
    with gr.Column(min_width=220):
        gr.HTML('<h2>Keep</h2><p class="hint">The PNG carries its recipe: drop it here to have all of this again.</p>')
        parts["save"] = gr.Button("Save PNG", variant="primary", elem_id="save")
        parts["saved"] = gr.DownloadButton(visible=False)
        parts["dropped"] = gr.File(
            label="Drop a picture made here",
            file_types=[".png", ".jpg", ".jpeg", ".webp", ".json"],
            height=112,
            elem_id="dropped",
        )
    with gr.Column(min_width=320):
        gr.HTML('<h2>Say it in code</h2><p class="hint">Both make this very picture again, bit for bit.</p>')
        parts["command"] = gr.Textbox(
            label="Command", buttons=["copy"], interactive=False, lines=1, max_lines=4, elem_id="command"
        )
        parts["python"] = gr.Textbox(
            label="Python", buttons=["copy"], interactive=False, lines=8, max_lines=24, elem_id="python"
        )
