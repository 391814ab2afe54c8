"""A diffusion model inverts pictures exactly, on a network that nobody trained."""

import pytest
import torch

import steer
from steer.errors import BadInput
from steer.generator import Generator
from steer.generators.ddim import DDIM, DDIMConfig
from steer.generators.diffusion.doctor import examine
from steer.generators.diffusion.network import DenoisingNetwork, NetworkConfig
from steer.pictures import to_images
from steer.testing import check_inversion

UNET = {
    "sample_size": 8,
    "block_out_channels": (8, 16),
    "norm_num_groups": 4,
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D"),
    "attention_head_dim": 4,
}
SCHEDULE = {
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "clip_sample": False,
}


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(0)
    network = DenoisingNetwork(NetworkConfig("UNet2DModel", UNET, resolution=8))
    return Generator(DDIM(network, DDIMConfig(SCHEDULE)), name="untrained")


@pytest.fixture(scope="module")
def picture():
    return torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_the_noise_found_leads_back_without_the_anchor(generator, picture):
    found = generator.invert(picture, sampler=steer.Sampler(10))
    assert found.report.error <= 1e-5
    assert found.report.complaints == ()
    assert found.report.error < generator.invert(picture, sampler=steer.Sampler(10), method="ddim").report.error / 10


def test_an_unturned_picture_comes_back_bit_for_bit_and_a_small_turn_changes_it_little(generator, picture):
    found = generator.invert(picture, sampler=steer.Sampler(10))
    plain = generator.decode(found.latent)
    assert to_images(plain)[0].tobytes() == to_images(found.report.prepared.picture)[0].tobytes()
    direction = torch.randn(generator.spaces["bottleneck"].shape, generator=torch.Generator().manual_seed(0))
    for space in ("bottleneck", "bottleneck.p"):
        knob = steer.LinearKnob("a knob", space, direction)
        for amount, low, high in ((1e-3, 0.0, 0.01), (20.0, 1e-3, 1.0)):
            moved = (generator.decode(found.latent, steer.Steering([(knob, amount)])) - plain).abs().max()
            assert low < float(moved) <= high
    assert torch.equal(list(generator.film(found.latent))[-1].picture, plain)


def test_it_keeps_the_promises_of_inversion(generator):
    check_inversion(generator.with_sampler(steer.Sampler(6)), iterations=2)


def test_the_doctor_finds_nothing_wrong_with_a_model_of_our_own(generator):
    assert examine(generator.backend.chart()) == ()


def test_bad_samplers_are_refused(generator, picture):
    with pytest.raises(BadInput, match="1 to 1000"):
        generator.invert(picture, sampler=steer.Sampler(1001))
    with pytest.raises(BadInput, match="eta"):
        generator.invert(picture, sampler=steer.Sampler(10, eta=1.0))
