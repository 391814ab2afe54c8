"""From what is set to films of it: how its first picture comes about, and how that picture dissolves."""

from collections.abc import Iterator

import torch

from steer.apps.setting import Model, Setting
from steer.backend import Noisy
from steer.film import Film
from steer.generator import Moment
from steer.latent import Latent
from steer.sampler import Sampler
from steer.steering import Steering


def can_dissolve(model: Model) -> bool:
    """Whether a model has noise levels to dissolve a picture by."""
    return isinstance(model.generator.backend, Noisy)


def has_steps(model: Model) -> bool:
    """Whether a model has a choice of steps."""
    return bool(model.generator.backend.samplers)


def reverse(setting: Setting, steps: int) -> Film:
    """Return the film of how the first picture of a setting comes about.

    Args:
        setting: what is set.
        steps: steps to the picture, for a model that has a choice of them; an inverted picture has its own.

    Raises:
        BadInput: there are more or fewer steps than there can be.
    """
    latent, steering = _first(setting)
    inverted = latent.anchor is not None and latent.anchor.sampler is not None
    sampler = Sampler(steps) if has_steps(setting.dice.model) and not inverted else None
    return Film.reverse(setting.generator, latent, steering, sampler=sampler)


def forward(setting: Setting, steps: int) -> Film:
    """Return the film of how the first picture of a setting dissolves.

    Raises:
        BadInput: the model has no noise levels, or not so many.
    """
    picture = setting.dice.decode(*_first(setting))
    return Film.forward(setting.generator, picture[0], steps=steps)


def shoot(film: Film, model: Model) -> Iterator[Moment]:
    """Yield the moments of a film, each made while nobody else uses the model."""
    moments = film.process.moments()
    while True:
        with model.lock, torch.no_grad():
            moment = next(moments, None)
        if moment is None:
            return
        yield moment


def _first(setting: Setting) -> tuple[Latent, Steering]:
    latent = setting.dice.latent
    return latent.rows([0]), setting.steering.rows([0], len(latent))
