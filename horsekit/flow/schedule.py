"""Noise levels: σ = 1 is pure noise, σ = 0 is data; x_σ = (1 − σ) x₀ + σ ε."""

import torch
from torch import Tensor

FIRST_SIGMA = 0.999


def shifted(sigma: Tensor, shift: float) -> Tensor:
    """Move noise levels towards noise: σ′ = shift·σ / (1 + (shift − 1)·σ) (SPEC §3.2)."""
    if shift <= 0:
        raise ValueError(f"shift is {shift}; it must be positive (1 leaves the levels as they are)")
    return shift * sigma / (1 + (shift - 1) * sigma)


def schedule(steps: int, shift: float = 5.0) -> Tensor:
    """Noise levels of a sampler, float64 [steps + 1], falling, the last one 0 (SPEC §3.2)."""
    if steps < 1:
        raise ValueError(f"steps is {steps}; at least one step is needed")
    grid = torch.linspace(FIRST_SIGMA, 0, steps + 1, dtype=torch.float64)[:-1]
    return torch.cat([shifted(grid, shift), grid.new_zeros(1)])


def training_levels(count: int, shift: float, generator: torch.Generator) -> Tensor:
    """Noise levels for training, float32 [count]: shifted uniform, one draw in each of `count` equal strata.

    Stratified draws cover all levels in every batch, so that the loss of a step says more about the weights
    than about the levels that happened to be drawn.
    """
    place = torch.rand(count, generator=generator, dtype=torch.float64)
    strata = (torch.randperm(count, generator=generator) + place) / count
    return shifted(strata, shift).clamp(1e-4, 1 - 1e-4).float()
