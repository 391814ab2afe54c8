"""A run on one page: what became of each noisy picture, step by step, and the loss below."""

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from steer.apps.lab.experiment import LEVELS, WATCHED, Experiment, Snapshot
from steer.directions.page import FADED, INK, PAPER, SOFT, WARM
from steer.pictures import sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 7
"""Moments of the run that are shown."""

SCALE = 3
LEAST_WIDTH, CURVE_HEIGHT = 860, 300
"""Pixels."""

DPI = 100


def draw_page(experiment: Experiment, snapshots: Sequence[Snapshot]) -> Image.Image:
    """Draw a run: a row for each noise level with the noisy picture, the denoised ones and the clean one; the loss.

    Args:
        experiment: what was tried.
        snapshots: all that it gave.
    """
    shown = _spread(snapshots)
    columns = [shown[0].noisy, *(snapshot.denoised for snapshot in shown), shown[0].clean.expand_as(shown[0].noisy)]
    pictures = sheet(
        torch.stack(columns, 1).flatten(0, 1),  # (levels * columns, 3, height, width)
        columns=len(columns),
        scale=SCALE,
        gap=8,
        column_labels=["noisy", *(f"step {snapshot.step}" for snapshot in shown), "clean"],
        row_labels=[f"level {level + 1} of {LEVELS}" for level in WATCHED],
    )
    curve = _draw_curve(experiment, snapshots, max(pictures.width, LEAST_WIDTH))
    page = Image.new("RGB", (curve.width, pictures.height + curve.height), PAPER)
    page.paste(pictures, (0, 0))
    page.paste(curve, (0, pictures.height))
    return page


def _spread(snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """Return the first, the last that shows anything, and some between: most of them early, where most is learnt."""
    last = max(place for place, snapshot in enumerate(snapshots) if place == 0 or math.isfinite(snapshot.loss))
    places = {round(last * (column / (COLUMNS - 1)) ** 2) for column in range(COLUMNS)}
    return [snapshots[place] for place in sorted(places)]


def _draw_curve(experiment: Experiment, snapshots: Sequence[Snapshot], width: int) -> Image.Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / DPI, CURVE_HEIGHT / DPI), dpi=DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.09, 0.16, 0.88, 0.61), facecolor=PAPER)
    steps = [snapshot.step for snapshot in snapshots]
    axes.plot(steps, [snapshot.loss for snapshot in snapshots], ".", color=FADED, markersize=2.5, label="loss")
    averages = [snapshot.average_loss for snapshot in snapshots]
    axes.plot(steps, averages, color=WARM, linewidth=2.2, label="average loss")
    lines = {"always the input": experiment.loss_of_the_input, "always the mean": experiment.loss_of_the_mean}
    for (label, loss), style in zip(lines.items(), (":", "--"), strict=True):
        axes.axhline(loss, color=INK, linewidth=0.9, linestyle=style, label=f"{label}: {loss:.2g}")
    _finish(axes, experiment, snapshots)
    file = io.BytesIO()
    figure.savefig(file, format="png", facecolor=PAPER)
    return Image.open(file).convert("RGB")


def _finish(axes: "Axes", experiment: Experiment, snapshots: Sequence[Snapshot]) -> None:
    """Say what was tried and how it ended, and leave out what is not needed."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(0, max(1, snapshots[-1].step))
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(colors=FADED, labelsize=9, length=2, which="both")
    axes.grid(axis="y", color=SOFT, linewidth=0.8)
    axes.set_xlabel("step", color=FADED, fontsize=9, labelpad=1)
    above: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (-0.01, 1.0), "borderaxespad": 0.2}
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, ncols=4, **above)
    end = "diverged" if snapshots[-1].diverged else f"average loss {snapshots[-1].average_loss:.3g}"
    tried = f"{experiment.target.name}, beta {experiment.beta:g}, learning rate {experiment.learning_rate:g}: {end}"
    axes.set_title(tried, color=INK, fontsize=12, loc="left", pad=26)
