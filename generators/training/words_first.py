"""Teach a network what words mean before it sees a picture, and see that it does not forget them.

A caption's effect on the loss of a denoiser is small until shapes are right, so that a text encoder that only hears
from it stays dumb for thousands of steps, and one that was taught forgets what does not yet matter: after 5,500 steps
"facing left" and "facing right" lay ten times closer together than at the start. Ramesh et al. (2022), arXiv
2204.06125, and Saharia et al. (2022), arXiv 2205.11487, take encoders that were trained on text before and freeze them;
here the lesson goes on beside the pictures.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from steer.generators.diffusion.network import DenoisingNetwork
from steer.generators.training.captioned import Captioned

Told = Callable[[int], str]
"""Returns what is said of the picture in a row, "" for nothing."""


def new_reading(network: DenoisingNetwork, meanings: int) -> nn.Linear:
    """Return a linear reading of meanings off what words add to the embedding of the level, which every block hears."""
    return nn.Linear(network.unet.add_embedding.proj.out_features, meanings)


def learn_words(
    network: DenoisingNetwork,
    reading: nn.Linear,
    data: Captioned,
    told: Told,
    *,
    steps: int,
    batch: int = 64,
    learning_rate: float = 2e-3,
    rng: torch.Generator,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Train what a network makes of words (in place) until the meaning of a caption can be read off it.

    Args:
        network: one whose words also join the embedding of the level.
        reading: what reads meanings; trained in place.
        data: captions, and the meanings of their pictures.
        told: what is said of a row.
        steps: how many steps to train.
        batch: captions a step.
        learning_rate: before it falls to 0 along a cosine.
        rng: where its random numbers come from.
        progress: called with the steps made and how many there will be; it may raise to stop.
    """
    assert data.meanings is not None, "only captions with meanings are learnt first"
    assert network.text is not None, "only networks that know words have some to learn"
    learning = [*network.text.parameters(), *network.unet.add_embedding.parameters(), *reading.parameters()]
    optimiser = torch.optim.AdamW(learning, learning_rate, (0.9, 0.99), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        rows = torch.randint(len(data), (batch,), generator=rng)
        loss = misunderstood(network, reading, network.read([told(row) for row in rows.tolist()]), data.meanings[rows])
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learning, 1.0)
        optimiser.step()
        schedule.step()
        if progress is not None:
            progress(step + 1, steps)


def misunderstood(network: DenoisingNetwork, reading: nn.Linear, prompt: Tensor | None, meanings: Tensor) -> Tensor:
    """Return by how much the meanings read in prompts miss those of their pictures, (batch, meanings): a scalar.

    What a caption leaves open is best answered by its average.
    """
    read: Tensor = reading(network.unet.add_embedding(prompt))
    return (read - meanings.to(read.device)).square().mean()


@torch.no_grad()
def understood(network: DenoisingNetwork, reading: nn.Linear, phrases: list[str]) -> Tensor:
    """Return the meanings that a network reads in phrases, (batch, meanings)."""
    meanings: Tensor = reading(network.unet.add_embedding(network.read(phrases)))
    return meanings
