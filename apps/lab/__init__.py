"""The denoising lab: a small denoiser learns before one's eyes, and shows what its settings do to it."""

from steer.apps.lab.experiment import Experiment, Snapshot
from steer.apps.lab.page import draw_page
from steer.apps.lab.targets import TARGETS, Target, bird, own_picture, shapes

__all__ = ["TARGETS", "Experiment", "Snapshot", "Target", "bird", "draw_page", "own_picture", "shapes"]
