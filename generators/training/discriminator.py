"""A projected discriminator: it judges pictures by frozen features, fakes against real ones of the same class.

After Sauer et al. (2021), arXiv 2111.01007 (heads on frozen features); Jolicoeur-Martineau (2018), arXiv 1807.00734
(relativistic pairs); Miyato & Koyama (2018), arXiv 1802.05637 (the class by projection).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

COARSE = 16
"""The widest feature map that is judged, in pixels: heads of finer maps, or of pixels, drew stripes into faces within
100 steps."""


class Head(nn.Module):
    """A small discriminator of one map: fixed mixing, strided 4×4 convolutions down to 4×4, projection on the class.

    Args:
        inputs: channels of the map.
        size: its height and width, in pixels.
        classes: number of classes.
        width: channels of the first convolution; doubled by every one up to 128.
    """

    mixing: Tensor

    def __init__(self, inputs: int, size: int, classes: int, *, width: int = 48) -> None:
        super().__init__()
        mixing = nn.init.orthogonal_(torch.empty(inputs, inputs))
        self.register_buffer("mixing", mixing[..., None, None])
        layers: list[nn.Module] = []
        while size > 4:
            layers += [spectral_norm(nn.Conv2d(inputs, width, 4, 2, 1)), nn.LeakyReLU(0.2, inplace=True)]
            inputs, width, size = width, min(2 * width, 128), size // 2
        layers += [spectral_norm(nn.Conv2d(inputs, 128, 3, 1, 1)), nn.LeakyReLU(0.2, inplace=True)]
        self.body = nn.Sequential(*layers)
        self.patches = spectral_norm(nn.Conv2d(128, 1, 4))
        self.projection = spectral_norm(nn.Linear(classes, 128, bias=False))

    def forward(self, h: Tensor, label: Tensor) -> Tensor:
        """Return how real each map is for its class; ``label`` is one-hot, (batch, classes)."""
        h = self.body(F.conv2d(h, self.mixing))
        scores: Tensor = self.patches(h).flatten() + (self.projection(label) * h.mean((2, 3))).sum(1)
        return scores


class Discriminator(nn.Module):
    """One head for each coarse feature map.

    Args:
        widths: channels of each feature map.
        sizes: height and width of each feature map, in pixels; maps wider than 16 are not judged.
        classes: number of classes.
    """

    def __init__(self, widths: Sequence[int], sizes: Sequence[int], classes: int) -> None:
        super().__init__()
        self.judged = [index for index, size in enumerate(sizes) if size <= COARSE]
        self.heads = nn.ModuleList(Head(widths[index], sizes[index], classes) for index in self.judged)

    def forward(self, maps: Sequence[Tensor], label: Tensor) -> Tensor:
        """Return every head's scores, (heads, batch), from all feature maps; ``label`` is one-hot, (batch, classes)."""
        return torch.stack([head(maps[index], label) for head, index in zip(self.heads, self.judged, strict=True)])

    def learn(
        self, real: Sequence[Tensor], fake: Sequence[Tensor], label: Tensor, optimiser: torch.optim.Optimizer
    ) -> dict[str, Tensor]:
        """Make a step, and find from the same pass where the generator should take its fakes.

        No score depends on another picture, so the gradient of the generator's loss is, map by map, that of the
        discriminator's loss times -exp(real score - fake score): one pass does for both.

        Args:
            real: all feature maps of real pictures.
            fake: those of fakes, of the same classes row by row.
            label: one-hot, (batch, classes).
            optimiser: steps the discriminator.

        Returns:
            The two losses, ``discriminator`` and ``adversarial``, and a ``pull`` whose gradient is that of the latter.
        """
        leaves = [each.detach().requires_grad_() for each in fake]
        both = [torch.cat(pair) for pair in zip(real, leaves, strict=True)]
        real_scores, fake_scores = self(both, label.repeat(2, 1)).chunk(2, 1)
        lead = real_scores - fake_scores  # (heads, batch)
        loss = F.softplus(-lead).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        ratio = -lead.detach().clamp(max=30).exp()
        pull = torch.zeros(())
        for index, row in zip(self.judged, ratio, strict=True):
            gradient = leaves[index].grad
            assert gradient is not None
            pull = pull + (fake[index] * (gradient * row[:, None, None, None])).sum()
        return {"discriminator": loss.detach(), "adversarial": F.softplus(lead.detach()).mean(), "pull": pull}
