"""What a model puts out is turned into the velocity of straight paths."""

import pytest
import torch

from horsekit.flow import to_velocity

LEVELS = (0.0, 0.2, 0.5, 0.9, 1.0)


SPREAD = torch.tensor([0.3, 0.9, 1.0, 4.0], dtype=torch.float64)


def at(sigma, spread=1.0):
    """Noisy tokens and their velocity, of data with that deviation."""
    source = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(20_000, 4, generator=source, dtype=torch.float64) for _ in range(2))
    clean = clean * spread
    return (1 - sigma) * clean + sigma * noise, noise - clean


@pytest.mark.parametrize("spread", [torch.ones(4, dtype=torch.float64), SPREAD])
@pytest.mark.parametrize("sigma", LEVELS)
def test_a_residual_of_nothing_is_the_best_linear_guess(sigma, spread):
    noisy, velocity = at(sigma, spread)
    guess = to_velocity("residual", torch.zeros_like(noisy), noisy, sigma, spread)
    one = to_velocity("residual", torch.ones_like(noisy), noisy, sigma, spread) - guess
    left = (velocity - guess) / one
    correlation = (left * noisy).mean(0) / noisy.std(0)
    assert correlation.abs().max() < 0.02, "nothing that is linear in the token is left"
    torch.testing.assert_close(left.var(0), torch.ones_like(spread), atol=0.03, rtol=0)


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
