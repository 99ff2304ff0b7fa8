"""What a model puts out is turned into the velocity of straight paths."""

import pytest
import torch

from horsekit.flow import to_velocity

LEVELS = (0.0, 0.2, 0.5, 0.9, 1.0)


def at(sigma):
    """Clean tokens, noisy ones and their velocity, of unit-variance data."""
    source = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(20_000, 4, generator=source, dtype=torch.float64) for _ in range(2))
    return (1 - sigma) * clean + sigma * noise, noise - clean


@pytest.mark.parametrize("sigma", LEVELS)
def test_a_residual_of_nothing_is_the_best_linear_guess(sigma):
    noisy, velocity = at(sigma)
    guess = to_velocity("residual", torch.zeros_like(noisy), noisy, sigma)
    left = velocity - guess
    assert (left * noisy).mean().abs() < 0.02, "nothing that is linear in the token is left"
    spread = (1 - sigma) ** 2 + sigma**2
    assert left.var().item() * spread == pytest.approx(1, abs=0.02), (
        "and the model is asked for unit variance"
    )


@pytest.mark.parametrize("sigma", LEVELS)
def test_the_right_residual_is_the_velocity(sigma):
    noisy, velocity = at(sigma)
    guess = to_velocity("residual", torch.zeros_like(noisy), noisy, sigma)
    one = to_velocity("residual", torch.ones_like(noisy), noisy, sigma) - guess
    levels = torch.full((len(noisy), 1), sigma, dtype=torch.float64)
    made = to_velocity("residual", (velocity - guess) / one, noisy, levels)
    torch.testing.assert_close(made, velocity, atol=1e-4, rtol=0)  # the output is taken in float32


def test_a_velocity_is_taken_as_it_is():
    noisy, velocity = at(0.3)
    assert to_velocity("velocity", velocity, noisy, 0.3) is velocity
