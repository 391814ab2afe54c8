"""Lab: how a picture comes about or dissolves, moment by moment; and a small denoiser that learns as one watches."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr

from steer.apps.filming import can_dissolve, forward, has_steps, reverse, shoot
from steer.apps.lab import TARGETS, Experiment, Snapshot, Target, own_picture
from steer.apps.lab.experiment import LEVELS, WATCHED
from steer.apps.setting import Model, Setting
from steer.apps.studio.desks import Desk
from steer.apps.studio.frame import EACH, FETCH, LATEST, Frame, plainly
from steer.apps.studio.panels import addresses
from steer.apps.studio.waiting import Waiting
from steer.errors import BadInput
from steer.film import Film
from steer.generator import Moment
from steer.progress import Progress

OWN = "own"
CHOICES = [("a bird", "bird"), ("a shape", "shapes"), ("your picture", OWN)]
"""What may be denoised."""

BETAS = [("hardly any: 0.0001", 0.0001), ("a little: 0.003", 0.003), ("some: 0.03", 0.03), ("nearly all: 0.6", 0.6)]
RATES = [("timid: 0.01", 0.01), ("brisk: 0.2", 0.2), ("bold: 0.6", 0.6), ("reckless: 3", 3.0)]
"""What may be tried, each with a name; other numbers may be typed."""

EVERY = 5
"""Steps between two looks at the denoiser."""

MOST_STEPS = 2000

PLAY = """let playing = 0;
const show = (film, place) => {
  film.querySelectorAll(".moment").forEach((moment, number) => (moment.hidden = number !== place));
  film.querySelector("input").value = place;
};
const stop = () => { clearInterval(playing); playing = 0; };
element.addEventListener("input", (event) => {
  stop();
  show(event.target.closest(".film"), Number(event.target.value));
});
element.addEventListener("click", (event) => {
  if (!event.target.closest(".play")) return;
  if (playing) return stop();
  const film = event.target.closest(".film"), slider = film.querySelector("input"), last = Number(slider.max);
  let place = Number(slider.value) < last ? Number(slider.value) : -1;
  playing = setInterval(() => (film.isConnected && place < last ? show(film, ++place) : stop()), 4000 / (last + 1));
});"""
"""Plays a film in about four seconds, and shows the moment that its slider stands on."""

Update = dict[Any, Any]
"""New values by component."""


@dataclass(eq=False)
class Reel:
    """A film that one page has made.

    Attributes:
        model: whose it is.
        film: what is filmed.
        moments: those made so far.
    """

    model: Model
    film: Film
    moments: list[Moment] = field(default_factory=list)

    def shoot(self, progress: Progress) -> None:
        """Make the moments."""
        for moment in shoot(self.film, self.model):
            self.moments.append(moment)
            progress(len(self.moments), len(self.film))

    @property
    def whole(self) -> bool:
        """Whether every moment is there."""
        return len(self.moments) == len(self.film)


@dataclass(eq=False)
class Course:
    """What one page has taught a denoiser.

    Attributes:
        experiment: what is tried.
        steps: how many steps are to be learnt.
        snapshots: how the denoiser stood, so far.
    """

    experiment: Experiment
    steps: int
    snapshots: list[Snapshot] = field(default_factory=list)

    def learn(self, progress: Progress) -> None:
        """Teach it."""
        for snapshot in self.experiment.run(self.steps, every=EVERY):
            self.snapshots.append(snapshot)
            progress(snapshot.step, self.steps)


class Lab:
    """The tab of films and of the denoising lab."""

    name = "Lab"

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._reels: WeakKeyDictionary[Desk, Reel] = WeakKeyDictionary()
        self._courses: WeakKeyDictionary[Desk, Course] = WeakKeyDictionary()
        self._filming = Waiting(frame, "film", "Filming")
        self._learning = Waiting(frame, "learn", "Learning", stop="Stop")

    def lay_out(self) -> None:
        """See `Tab.lay_out`."""
        with gr.Row(elem_id="film-desk", elem_classes="tab-desk wide"):
            with gr.Column(elem_classes="tab-choose", min_width=220):
                self._lay_films()
            with gr.Column(elem_classes="tab-look", min_width=320):
                self._reel = gr.HTML(elem_id="film-view", js_on_load=PLAY)
        with gr.Row(elem_id="lab-desk", elem_classes="tab-desk wide"):
            with gr.Column(elem_classes="tab-choose", min_width=220):
                self._lay_course()
            with gr.Column(elem_classes="tab-look", min_width=320):
                self._course = gr.HTML(course_html(None), elem_id="lab-view")

    def _lay_films(self) -> None:
        gr.HTML('<h2>How it comes about</h2><p class="hint">The first picture on Turn, moment by moment.</p>')
        self._steps = gr.Slider(
            2, 100, value=30, step=1, label="Steps", info="From noise to picture.", visible=False, elem_id="film-steps"
        )
        self._reverse = gr.Button("Film it coming about", variant="primary", elem_id="film-reverse")
        self._forward = gr.Button("Film it dissolving", visible=False, elem_id="film-forward")
        self._filming.lay_out()
        self._keep = gr.Button("Save the film", visible=False, elem_id="film-save")
        self._kept = gr.DownloadButton(visible=False)

    def _lay_course(self) -> None:
        gr.HTML(
            '<h2>Denoising lab</h2><p class="hint">A small network learns to take noise away, here and now. '
            "Give it too much noise, too little, or too high a rate, and see what happens.</p>"
        )
        self._target = gr.Radio(
            CHOICES, value="bird", label="Clean target", info="It learns from others like it.", elem_id="lab-target"
        )
        self._file = gr.File(file_types=["image"], label="Your picture", height=110, visible=False, elem_id="lab-file")
        self._beta = gr.Dropdown(
            BETAS,
            value=0.03,
            label="Noise (beta)",
            info="How much the last of 100 levels adds.",
            allow_custom_value=True,
            elem_id="lab-beta",
        )
        self._rate = gr.Dropdown(
            RATES,
            value=0.2,
            label="Learning rate",
            info="How far each step goes.",
            allow_custom_value=True,
            elem_id="lab-rate",
        )
        self._count = gr.Slider(50, MOST_STEPS, value=600, step=50, label="Steps to learn", elem_id="lab-steps")
        self._start = gr.Button("Start learning", variant="primary", elem_id="lab-start")
        self._learning.lay_out()

    def wire(self) -> None:
        """See `Tab.wire`."""
        filmed = [self._reel, self._keep, *self._filming.parts]
        for button, verb in ((self._reverse, self._begin_reverse), (self._forward, self._begin_forward)):
            button.click(verb, self._steps, filmed, **EACH)
        self._keep.click(self._save, None, self._kept, **LATEST).then(None, self._kept, None, js=FETCH)
        self._target.input(lambda name: gr.File(visible=name == OWN), self._target, self._file, **LATEST)
        chosen = [self._target, self._file, self._beta, self._rate, self._count]
        self._start.click(self._learn, chosen, [self._course, *self._learning.parts], **EACH)

    def follow(self, event: Any) -> None:
        """See `Tab.follow`."""
        event.then(self._show, None, [self._steps, self._forward, self._reel, self._keep], **LATEST)

    def _begin_reverse(self, request: gr.Request, steps: int) -> Iterator[Update]:
        """Film the picture coming about."""
        yield from self._film(request, lambda setting: reverse(setting, steps))

    def _begin_forward(self, request: gr.Request, steps: int) -> Iterator[Update]:
        """Film the picture dissolving."""
        yield from self._film(request, lambda setting: forward(setting, steps))

    def _film(self, request: gr.Request, of: Callable[[Setting], Film]) -> Iterator[Update]:
        """Make a film while the page shows its newest moment."""
        desk = self.frame.anyone(request)
        with plainly():
            setting = self.frame.desk(request).session.setting
            reel = Reel(setting.dice.model, of(setting))

            def film(progress: Progress) -> None:
                self._reels[desk] = reel
                reel.shoot(progress)

            yield from self._filming.show(desk, film, lambda: self._stand(self._reels.get(desk)))
        yield {**self._stand(self._reels.get(desk)), **self._filming.idle(desk)}

    def _save(self, request: gr.Request) -> Iterator[str]:
        """Write the film with its recipe; the page fetches it."""
        with plainly(), TemporaryDirectory() as folder:
            reel = self._reels.get(self.frame.anyone(request))
            if reel is None or not reel.whole:
                raise BadInput("there is no whole film to save yet; make it first")
            path = Path(folder, f"{reel.model.generator.name}-film.webp")
            with reel.model.lock:
                reel.film.save(path)
            yield str(path)

    def _learn(
        self, request: gr.Request, target: str, path: str | None, beta: Any, rate: Any, steps: int
    ) -> Iterator[Update]:
        """Teach a denoiser while the page shows how it stands."""
        desk = self.frame.anyone(request)
        with plainly(hidden=f"{Path(path).parent}/" if path else ""):
            numbers = _number(beta, "noise"), _number(rate, "learning rate")
            course = Course(Experiment(_target(target, path), *numbers), int(steps))

            def learn(progress: Progress) -> None:
                self._courses[desk] = course
                course.learn(progress)

            yield from self._learning.show(desk, learn, lambda: {self._course: course_html(self._courses.get(desk))})
        yield {self._course: course_html(self._courses.get(desk)), **self._learning.idle(desk)}

    def _show(self, request: gr.Request) -> Update:
        """Offer what can be filmed of the generator that is chosen."""
        desk = self.frame.anyone(request)
        model, reel = desk.session.setting.dice.model, self._reels.get(desk)
        return {
            self._steps: gr.Slider(visible=has_steps(model)),
            self._forward: gr.Button(visible=can_dissolve(model)),
            **self._stand(reel if reel is not None and reel.model is model else None),
        }

    def _stand(self, reel: Reel | None) -> Update:
        """Show how the film stands."""
        return {self._reel: reel_html(reel), self._keep: gr.Button(visible=reel is not None and reel.whole)}


def _number(value: Any, what: str) -> float:
    """Return what was chosen or typed as a number.

    Raises:
        BadInput: it is none.
    """
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise BadInput(f"the {what} is a number, such as 0.03, not '{value!s:.40}'") from error


def _target(name: str, path: str | None) -> Target:
    if name != OWN:
        return TARGETS[name](0)
    if path is None:
        raise BadInput("there is no picture of yours yet; choose one, or take a bird or a shape")
    return own_picture(path)


def reel_html(reel: Reel | None) -> str:
    """Show a whole film with a slider, one in the making by its newest moment."""
    if reel is None or not reel.moments:
        return (
            '<div class="empty"><h2>Out of noise, or block by block</h2><p>A diffusion model takes noise away until a '
            "picture is left; a GAN throws its dice block by block. Film the picture on Turn and move through it.</p>"
            "</div>"
        )
    if not reel.whole:
        return f'<div class="film">{_moment_html(reel.moments[-1])}</div>'
    last = len(reel.moments) - 1
    parts = "".join(_moment_html(moment, hidden=place != last) for place, moment in enumerate(reel.moments))
    return (
        f'<div class="film">{parts}<div class="film-bar"><button type="button" class="play">Play</button>'
        f'<input type="range" min="0" max="{last}" value="{last}" step="1" aria-label="moment of the film"></div></div>'
    )


def _moment_html(moment: Moment, *, hidden: bool = False) -> str:
    shown = [(moment.noisy, moment.name), (moment.picture, "the current guess")]
    if moment.noisy is None:
        shown = [(moment.picture, moment.name)]
    figures = "".join(
        f'<figure><img src="{addresses(picture)[0]}" alt="{escape(caption)}"><figcaption>{escape(caption)}</figcaption>'
        "</figure>"
        for picture, caption in shown
        if picture is not None
    )
    return f'<div class="moment" data-name="{escape(moment.name)}"{" hidden" if hidden else ""}>{figures}</div>'


def course_html(course: Course | None) -> str:
    """Show how a denoiser stands: pictures at four levels, step, losses, and their curve."""
    if course is None or not course.snapshots:
        return (
            '<div class="empty"><h2>A network that learns before your eyes</h2><p>Start it as it is: within a minute '
            "birds come out of the noise. Then raise the rate until it diverges.</p></div>"
        )
    now = course.snapshots[-1]
    head = "".join(f'<span role="columnheader">level {level + 1} of {LEVELS}</span>' for level in WATCHED)
    rows = {
        "clean": [addresses(now.clean)[0]] * len(WATCHED),
        "noisy": addresses(now.noisy),
        "denoised": addresses(now.denoised),
    }
    table = "".join(
        f'<div role="row" class="{name}"><span role="rowheader">{name}</span>'
        + "".join(f'<span role="gridcell"><img src="{address}" alt="{name}"></span>' for address in cells)
        + "</div>"
        for name, cells in rows.items()
    )
    facts = {"step": f"{now.step}", "loss": _short(now.loss), "average loss": _short(now.average_loss)}
    said = "".join(f"<span>{name} <b>{value}</b></span>" for name, value in facts.items())
    diverged = (
        '<p class="warning" role="alert"><b>It diverged.</b> Every step overshot the last one; take a lower rate.</p>'
        if now.diverged
        else ""
    )
    return (
        f'<div class="course" data-step="{now.step}" data-average="{now.average_loss:.6g}" '
        f'data-diverged="{str(now.diverged).lower()}"><div class="sheet" role="grid" aria-label="What the denoiser '
        f'makes of it" style="--columns: {len(WATCHED)}"><div role="row"><span></span>{head}</div>{table}</div>'
        f'<p class="pace">{said}</p>{diverged}{curve_svg(course)}</div>'
    )


def _short(loss: float) -> str:
    return f"{loss:.3g}" if math.isfinite(loss) else "no number"


def curve_svg(course: Course) -> str:
    """Draw the losses on a logarithmic scale, with what always answering the input or the mean would cost."""
    experiment = course.experiment
    lines = {"always the input": experiment.loss_of_the_input, "always the mean": experiment.loss_of_the_mean}
    finite = [each for each in course.snapshots if 0 < each.loss < math.inf and 0 < each.average_loss < math.inf]
    heights = [math.log(loss) for each in finite for loss in (each.loss, each.average_loss)]
    heights += [math.log(loss) for loss in lines.values()]
    low, high = min(heights) - 0.1, max(heights) + 0.1
    width, height = 600, 150
    last = max(finite[-1].step, 1) if finite else 1

    def place(step: float, loss: float) -> tuple[float, float]:
        return width * step / last, height * (high - math.log(loss)) / (high - low)

    dots = "".join('<circle cx="{:.1f}" cy="{:.1f}" r="1.3"/>'.format(*place(each.step, each.loss)) for each in finite)
    average = " ".join("{:.1f},{:.1f}".format(*place(each.step, each.average_loss)) for each in finite)
    marks = "".join(_mark(name, loss, place(0, loss)[1], width) for name, loss in lines.items())
    return (
        f'<svg class="losses" viewBox="0 0 {width} {height}" role="img" aria-label="loss, step by step">{marks}'
        f'{dots}<polyline points="{average}"/></svg>'
    )


def _mark(name: str, loss: float, y: float, width: int) -> str:
    return (
        f'<line x1="0" x2="{width}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{width}" y="{y - 3 if y > 14 else y + 12:.1f}">{name}: {loss:.2g}</text>'
    )
