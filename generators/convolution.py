"""A convolution with batch norm, for small networks that look at pictures; once trained, the two become one."""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)


class Convolution(nn.Module):
    """A convolution with batch norm, which `fold` merges into it."""

    def __init__(self, inputs: int, outputs: int, size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, values: Tensor) -> Tensor:
        """Convolve (batch, inputs, height, width)."""
        return self.norm(self.convolution(values))

    def fold(self) -> None:
        """Merge the batch norm into the convolution."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.convolution = fuse_conv_bn_eval(self.convolution, self.norm)
            self.norm = nn.Identity()


@torch.no_grad()
def fold(network: Network) -> Network:
    """Merge the batch norms into the convolutions, round to float16, freeze; return the network itself."""
    network.eval()
    for module in network.modules():
        if isinstance(module, Convolution):
            module.fold()
    network.requires_grad_(False)
    for parameter in network.parameters():
        parameter.copy_(parameter.half().float())
    return network
