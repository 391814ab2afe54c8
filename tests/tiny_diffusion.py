"""A diffusion model that nobody trained, small enough to run in milliseconds."""

from pathlib import Path

import torch

from steer.generator import Generator
from steer.generators.ddim import DDIM, DDIMConfig, write_model
from steer.generators.diffusion.network import DenoisingNetwork
from steer.generators.training.ddim import DDIMTraining

WORDS = ("a", "blue", "left", "owl", "red", "wren")
SIZE = 16
V = {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction"}


def network(*, vocabulary: tuple[str, ...] = WORDS, drawing: bool = True) -> DenoisingNetwork:
    """Return a network of 16-pixel pictures that reads words and is shown drawings."""
    torch.manual_seed(0)
    shape = DDIMTraining(resolution=SIZE, channels=(32, 32)).network(vocabulary, drawing=drawing)
    return DenoisingNetwork(shape)


def config(levels: int = 1000, *, low_levels: int = 2) -> DDIMConfig:
    """Return how it is used, with so many noise levels; fewer make the sampler short."""
    return DDIMConfig({**V, "num_train_timesteps": levels}, low_levels=low_levels)


def tiny_ddim(levels: int = 1000, *, low_levels: int = 2) -> Generator:
    """Return the network as a generator."""
    return Generator(DDIM(network(), config(levels, low_levels=low_levels)), name="tiny")


def write_tiny_ddim(folder: Path, levels: int = 1000) -> Path:
    """Write it as `steer train ddim` would, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_model(folder, network(), config(levels), dtype=torch.float32)
    return folder


def write_unconditional(folder: Path) -> Path:
    """Write an unconditional DDPM as diffusers saves it, and return the folder."""
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    torch.manual_seed(1)
    unet = UNet2DModel(
        sample_size=SIZE,
        block_out_channels=(32, 64),
        layers_per_block=1,
        norm_num_groups=16,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )
    DDPMPipeline(unet, DDPMScheduler(num_train_timesteps=100)).save_pretrained(folder)
    return folder
