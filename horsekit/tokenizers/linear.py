"""What the linear tokenizers of picture and sound share: a basis, and the blocks of their refiners.

N values of a patch, C channels
"""

import torch
from torch import Tensor, nn


class PatchBasis(nn.Module):
    """An orthonormal basis of patches with the deviation of each coefficient: values [.., N] to C channels."""

    def __init__(self, values: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(values))
        self.register_buffer("basis", torch.eye(values, channels))
        self.register_buffer("deviation", torch.ones(channels))

    def encode(self, patches: Tensor) -> Tensor:
        return (patches - self.mean) @ self.basis / self.deviation

    def decode(self, latents: Tensor) -> Tensor:
        return (latents * self.deviation) @ self.basis.T + self.mean

    @torch.no_grad()
    def fit(self, patches: Tensor) -> Tensor:
        """Principal components of patches [n, N]; returns the share of variance each channel explains."""
        self.mean.copy_(patches.mean(0))
        centred = (patches - self.mean).double()
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(patches))
        channels = len(self.deviation)
        top, vectors = values.flip(0)[:channels].clamp(min=1e-8), vectors.flip(1)[:, :channels]
        self.basis.copy_(vectors)
        self.deviation.copy_(top.sqrt())
        return (top / values.sum()).float()


def residual_branch(conv: type[nn.Conv1d] | type[nn.Conv2d], width: int, kernel: int) -> nn.Sequential:
    """A cheap branch that keeps the shape: a grouped convolution, then two of size 1 that widen and narrow."""
    return nn.Sequential(
        conv(width, width, kernel, padding=kernel // 2, groups=width // 16),
        conv(width, 2 * width, 1),
        nn.GELU(),
        conv(2 * width, width, 1),
    )
