"""Every registered generator and finder keeps the promises of `steer.testing`."""

import pytest
import torch
from tiny_diffusion import write_tiny_ddim

import steer
from steer.registry import needs_folder
from steer.testing import check_generator

# What biggan, which needs a folder, promises is checked for each of its kinds in test_biggan.
GENERATORS = [entry.name for entry in steer.list_generators() if not needs_folder(entry.name)]


FEW_STEPS = steer.Sampler(steps=1)  # three stages; promises do not depend on how many there are, the time does


@pytest.fixture(scope="module", params=GENERATORS)
def generator(request):
    generator = steer.load_generator(request.param)
    return generator.with_sampler(FEW_STEPS) if generator.backend.samplers else generator


def test_a_generator_keeps_its_promises(generator):
    check_generator(generator)


def test_a_diffusion_model_keeps_them_too(tmp_path):
    model = steer.load_generator(write_tiny_ddim(tmp_path, levels=3))
    assert len(model.backend.stages(model.sample([0]), None)) > 1
    check_generator(model)


def test_shipped_knobs_fit_their_generator(generator):
    knobs = steer.shipped_knobs(generator)
    assert knobs, "a shipped generator comes with knobs"
    latent = generator.sample([1])
    for knob in knobs.values():
        low, high = knob.range
        pictures = generator.decode(latent.rows([0, 0]), steer.Steering([(knob, [low, high])]))
        assert float((pictures[0] - pictures[1]).abs().max()) > 0.02 or high - low == 360, knob.name


def test_a_ring_knob_comes_home_after_a_whole_turn(generator):
    latent = generator.sample([1])
    plain = generator.decode(latent)
    for knob in steer.shipped_knobs(generator).values():
        if knob.unit == "degree":
            turned = generator.decode(latent, steer.Steering([(knob, 360.0)]))
            assert float((turned - plain).abs().mean()) < 1e-3, knob.name


def test_truncation_draws_dice_in_but_leaves_noise_alone(generator):
    wide, narrow = generator.sample(range(8)), generator.sample(range(8), truncation=0.5)
    kept = {name: share for name, share in {"z": 0.5, "noise": 1.0}.items() if name in generator.spaces}
    assert kept, "a generator has dice"
    for name, share in kept.items():
        torch.testing.assert_close(narrow[name], wide[name] * share)
