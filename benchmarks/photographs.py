"""Measure a generator of photographs, and write what was found into docs/photographs.md and docs/photographs/.

    python benchmarks/photographs.py RUN --train CIFAR/train --test CIFAR/test --judge JUDGE     # everything
    python benchmarks/photographs.py RUN ... --only curve --only sheet                           # some of it

RUN is a folder that `steer train ddim` or `steer train biggan` filled: the model in RUN/model, its notes in
RUN/metrics.jsonl. JUDGE is one that `steer train classifier` filled. Each part rewrites its own section of the page,
between the marks that carry its name and that of the model's kind, and its own pictures.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.ticker import LogLocator, NullLocator

import steer
from steer.directions.page import COOL, FADED, INK, SOFT, WARM, blank_page, plain, save_page, spoken
from steer.files import write_text
from steer.generator import Generator
from steer.generators.classifier import LABEL, Classifier
from steer.generators.photographs import condition_for, measure_photographs
from steer.generators.reconstruction import measure_reconstruction, read_photographs
from steer.pictures import save_picture, sheet
from steer.registry import load_measurer

PAGE = Path(__file__).parent.parent / "docs" / "photographs.md"

STEPS, QUICK_STEPS = 50, 12
"""Steps to what is shown and compared, and to what finders look at, for generators that have a choice of them."""

ACROSS = 8
"""Pictures a row of the sheet."""

STATISTICS = ("brightness", "contrast", "saturation", "hue", "warmth", "salient_x", "salient_y", "salient_size")
SHOWN = ("brightness", "hue", "salient_size")
PAIRS = (("bird", "ship"), ("cat", "dog"), ("automobile", "truck"), ("deer", "horse"))
AMOUNTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
"""How far words are turned: 0 is what is asked for, 1 the other thing."""


@dataclass(frozen=True)
class Work:
    """What is measured, by what.

    Attributes:
        run: the folder of the training.
        train: photographs that were trained on.
        test: photographs that were not.
        judge: the classifier.
        page: the document that is written to; pictures go into the folder beside it that has its name.
        samples: how many samples the quality is measured on.
        photographs: how many photographs are inverted.
        judged: how many samples a knob is judged on.
    """

    run: Path
    train: Path
    test: Path
    judge: Path
    page: Path
    samples: int
    photographs: int
    judged: int

    def generator(self, steps: int) -> Generator:
        """Return the model, which takes so many steps where it has a choice of them."""
        model = steer.load_generator(self.run / "model")
        return model.with_sampler(steer.Sampler(steps)) if model.backend.samplers else model

    def picture(self, part: str) -> Path:
        """Return the file of a part's picture."""
        folder = self.page.with_suffix("")
        folder.mkdir(exist_ok=True)
        return folder / f"{self.kind}-{part}"

    @property
    def kind(self) -> str:
        """What the marks and pictures of this model begin with: "ddim" or "biggan"."""
        return str(json.loads((self.run / "model" / "config.json").read_text(encoding="utf-8"))["generator"])

    def shows(self, part: str, what: str) -> str:
        """Return the line that shows a part's picture."""
        return f"![{what}]({self.page.stem}/{self.kind}-{part})"


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(each)} |" for each in lines)


def judge(work: Work) -> str:
    """Say how many photographs the judge names, by class, as its card does."""
    card = (work.judge / "README.md").read_text(encoding="utf-8").splitlines()
    rows = "\n".join(line for line in card if line.startswith("|"))
    accuracy = Classifier.load(work.judge).accuracy
    return f"It names {accuracy:.1%} of the test photographs.\n\n{rows}"


def curve(work: Work) -> str:
    """Draw the loss against the steps: all of it, or what the quarters from clean to noise have of it."""
    notes = [json.loads(line) for line in (work.run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    parts = sorted({name for note in notes for name in note} & {f"missed_{quarter}" for quarter in range(1, 5)})
    names = [*parts, "loss"] if "loss" in notes[-1] else sorted(notes[-1].keys() - {"step", "seconds"})
    page = blank_page(8.0, 3.6)
    place = page.add_axes((0.09, 0.15, 0.74, 0.7))
    plain(place)
    place.grid(axis="y", color=SOFT, linewidth=0.8)
    for name in names:
        points = [(note["step"], note[name]) for note in notes if name in note]
        whole = name == "loss"
        shade = WARM if whole else COOL
        place.plot(*zip(*points, strict=True), color=shade, linewidth=2 if whole else 1, alpha=1 if whole else 0.7)
        said = {"missed_1": "nearly clean", "missed_4": "nearly noise"}.get(name, spoken(name))
        said = said if name not in {"missed_2", "missed_3"} else ""
        place.text(points[-1][0], points[-1][1], f"  {said}", color=shade, fontsize=8, va="center")
    place.set_yscale("log")
    place.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    place.yaxis.set_major_formatter("{x:g}")
    place.yaxis.set_minor_locator(NullLocator())
    place.set_xlabel("steps", color=FADED, fontsize=9)
    hours = notes[-1]["seconds"] / 3600
    page.text(0.09, 0.91, f"What was missed, over {hours:.1f} hours of training", color=INK, fontsize=11)
    save_page(page, work.picture("curve.png"))
    return work.shows("curve.png", "The loss against the steps of the training")


def shown(work: Work) -> str:
    """Draw a sheet, one class a row, none of it picked."""
    model, labels = work.generator(STEPS), Classifier.load(work.judge).config.labels
    by = condition_for(model, labels)
    names = [label for label in labels for _ in range(ACROSS)]
    asked = {by: names} if by else {}
    with torch.no_grad():
        pictures = model.decode(model.sample(range(len(names)), condition=asked)).cpu()
    save_picture(sheet(pictures, ACROSS, scale=2, row_labels=labels), work.picture("sheet.jpg"))
    return work.shows("sheet.jpg", f"Seeds 0 to {len(names) - 1}, a class a row, none picked")


def quality(work: Work) -> str:
    """Measure samples beside photographs, and draw the nearest training pictures."""
    measured = measure_photographs(
        work.generator(STEPS), work.train, Classifier.load(work.judge), held_out=work.test, count=work.samples
    )
    measured.figure(work.picture("nearest.jpg"))
    rows = [(what, value, beside.removesuffix(" for held-out photographs")) for what, value, beside in measured.rows()]
    told = table(("measure", "samples", "held-out photographs"), rows)
    beside = work.shows("nearest.jpg", "Samples, and the training pictures nearest to each; the nearest of all first")
    return f"{told}\n\n{beside}"


def inversion(work: Work) -> str:
    """Invert test photographs, as table 2 of the DDIM paper does."""
    model = work.generator(STEPS)
    measured = measure_reconstruction(model, pictures=read_photographs(work.test, work.photographs, model))
    return table(*measured.table())


def knobs(work: Work) -> str:
    """Find a knob for each statistic of pictures, and judge them on samples that no finder saw."""
    model = work.generator(QUICK_STEPS)
    space = "bottleneck" if "bottleneck" in model.spaces else "z"
    found = steer.find("probe", model, attribute=STATISTICS, space=space, samples=1_000, source="picture")
    found.save(work.picture("knobs.safetensors"))
    card = steer.scorecard(model, found, seeds=work.judged, measurer=load_measurer("picture"))
    for name in SHOWN:
        save_picture(steer.strip(model, found[name], range(3), columns=7).image(model), work.picture(f"{name}.jpg"))
    heading, *rows = card.table()
    pictures = "\n\n".join(work.shows(f"{name}.jpg", f"{spoken(name)}, over its range") for name in SHOWN)
    return f"{table(heading, rows)}\n\n{pictures}"


def words(work: Work) -> str:
    """Turn one class into another, and let the judge say at which amount which is seen."""
    model, classifier = work.generator(QUICK_STEPS), Classifier.load(work.judge)
    labels = classifier.config.labels
    by = condition_for(model, labels)
    if by is None:
        return "It cannot be asked for a class."
    rows = []
    for away, towards in PAIRS:
        knob = steer.find("contrast", model, towards=towards, away=away, name=towards)[towards]
        latent = model.sample(range(work.judged), condition={by: away})
        shares = []
        for amount in AMOUNTS:
            with torch.no_grad():
                seen = classifier.measure(model.decode(latent, steer.Steering([(knob, amount)])).cpu())[LABEL]
            shares.append([float((seen == labels.index(each)).float().mean()) for each in (away, towards)])
        rows.append((f"{away} → {towards}", *(f"{one:.2f}, {other:.2f}" for one, other in shares)))
        if (away, towards) == PAIRS[0]:
            strip = steer.strip(model, knob, range(4), amounts=AMOUNTS, condition={by: away})
            save_picture(strip.image(model), work.picture("words.jpg"))
    told = table(("from, to", *(f"{amount:g}" for amount in AMOUNTS)), rows)
    return f"{told}\n\n{work.shows('words.jpg', 'A knob of words: {} to {}'.format(*PAIRS[0]))}"


PARTS: Mapping[str, Callable[[Work], str]] = {
    "judge": judge,
    "curve": curve,
    "sheet": shown,
    "quality": quality,
    "inversion": inversion,
    "knobs": knobs,
    "words": words,
}


def fill(page: Path, name: str, text: str) -> None:
    """Write text between the marks of a name in a page."""
    before = page.read_text(encoding="utf-8")
    marks = f"<!-- {name} -->", f"<!-- end of {name} -->"
    found = re.compile(f"{re.escape(marks[0])}.*?{re.escape(marks[1])}", re.DOTALL)
    if not found.search(before):
        raise SystemExit(f"'{page}' has no marks {marks[0]} and {marks[1]}; add them where the part should stand")
    write_text(page, found.sub(lambda _: f"{marks[0]}\n{text}\n{marks[1]}", before))


def main() -> None:
    """Measure what was asked for."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("run", type=Path)
    for name in ("train", "test", "judge"):
        reader.add_argument(f"--{name}", type=Path, required=True)
    reader.add_argument("--page", type=Path, default=PAGE)
    reader.add_argument("--samples", type=int, default=2_000)
    reader.add_argument("--photographs", type=int, default=100)
    reader.add_argument("--judged", type=int, default=48)
    reader.add_argument("--only", action="append", choices=PARTS)
    given = vars(reader.parse_args())
    only = given.pop("only") or list(PARTS)
    work = Work(**given)
    for part in only:
        start = time.process_time()
        text = PARTS[part](work)
        fill(work.page, f"{work.kind} {part}", text)
        sys.stdout.write(f"{part}: {time.process_time() - start:.0f} seconds of processor time\n")


if __name__ == "__main__":
    main()
