"""Teach a network what words mean before it sees a picture: a U-Net alone learns them too slowly.

A caption's effect on the loss of a denoiser is small until shapes are right, so that a text encoder that only hears
from it stays dumb for thousands of steps. Ramesh et al. (2022), arXiv 2204.06125, and Saharia et al. (2022), arXiv
2205.11487, take encoders that were trained on text before; this does the same for a small world.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from steer.generators.diffusion.network import DenoisingNetwork
from steer.generators.training.captioned import Captioned

Told = Callable[[int], str]
"""Returns what is said of the picture in a row, "" for nothing."""


def learn_words(
    network: DenoisingNetwork,
    data: Captioned,
    told: Told,
    *,
    steps: int,
    batch: int = 64,
    learning_rate: float = 2e-3,
    rng: torch.Generator,
    progress: Callable[[int, int], None] | None = None,
) -> nn.Linear:
    """Train what a network makes of words (in place) until the meaning of a caption can be read off it.

    The reading is linear, from what words add to the embedding of the level, which reaches every block. What a caption
    leaves open is answered by its average.

    Args:
        network: one whose words also join the embedding of the level.
        data: captions, and the meanings of their pictures.
        told: what is said of a row.
        steps: how many steps to train.
        batch: captions a step.
        learning_rate: before it falls to 0 along a cosine.
        rng: where its random numbers come from.
        progress: called with the steps made and how many there will be; it may raise to stop.

    Returns:
        What reads meanings, (batch, meanings), off that addition, (batch, width).
    """
    assert data.meanings is not None, "only captions with meanings are learnt first"
    assert network.text is not None, "only networks that know words have some to learn"
    summary = network.unet.add_embedding
    device = network.text.queries.device
    reading = nn.Linear(summary.proj.out_features, data.meanings.shape[1]).to(device)
    learning = [*network.text.parameters(), *summary.parameters(), *reading.parameters()]
    optimiser = torch.optim.AdamW(learning, learning_rate, (0.9, 0.99), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        rows = torch.randint(len(data), (batch,), generator=rng)
        read = reading(summary(network.read([told(row) for row in rows.tolist()])))
        loss = (read - data.meanings[rows].to(device)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learning, 1.0)
        optimiser.step()
        schedule.step()
        if progress is not None:
            progress(step + 1, steps)
    return reading


@torch.no_grad()
def understood(network: DenoisingNetwork, reading: nn.Linear, phrases: list[str]) -> Tensor:
    """Return the meanings that a network reads in phrases, (batch, meanings)."""
    meanings: Tensor = reading(network.unet.add_embedding(network.read(phrases)))
    return meanings
