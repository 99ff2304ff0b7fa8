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

    def spread(self, balance: float) -> Tensor:
        """Deviations of channels that keep their order of size, [C], mean square 1.

        balance: 0 for all the same, 1 as among the values themselves. Where channels that carry more are
        larger, they come out of the noise first and the details follow from them; the same noise on all
        channels would have it all decided at once.
        """
        spread = self.deviation**balance
        return spread / spread.square().mean().sqrt()

    def encode(self, patches: Tensor) -> Tensor:
        return (patches - self.mean) @ self.basis / self.deviation

    def decode(self, latents: Tensor) -> Tensor:
        return (latents * self.deviation) @ self.basis.T + self.mean

    @torch.no_grad()
    def fit(self, patches: Tensor, given: Tensor | None = None) -> Tensor:
        """Principal components of patches [n, N]; returns the share of variance each channel explains.

        given: orthonormal directions [N, k] of the first channels; components then fill the rest of the space.
        """
        self.mean.copy_(patches.mean(0))
        centred = (patches - self.mean).double()
        covariance = centred.T @ centred / len(patches)
        given = covariance[:, :0] if given is None else given.double()
        apart = torch.eye(len(covariance), dtype=torch.float64) - given @ given.T
        _, vectors = torch.linalg.eigh(apart @ covariance @ apart)
        channels = len(self.deviation)
        basis = torch.cat([given, vectors.flip(1)[:, : channels - given.shape[1]]], dim=1)
        variance = ((covariance @ basis) * basis).sum(0).clamp(min=1e-8)
        self.basis.copy_(basis)
        self.deviation.copy_(variance.sqrt())
        return (variance / covariance.trace()).float()


def residual_branch(conv: type[nn.Conv1d] | type[nn.Conv2d], width: int, kernel: int) -> nn.Sequential:
    """A cheap branch that keeps the shape: a grouped convolution, then two of size 1 that widen and narrow."""
    return nn.Sequential(
        conv(width, width, kernel, padding=kernel // 2, groups=width // 16),
        conv(width, 2 * width, 1),
        nn.GELU(),
        conv(2 * width, width, 1),
    )
