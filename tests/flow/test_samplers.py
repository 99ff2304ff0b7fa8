"""Samplers against flows whose end is known in closed form."""

import math

import pytest
import torch

from horsekit.flow.samplers import SAMPLERS, euler, renewed, unipc
from horsekit.flow.schedule import schedule, shifted, training_levels

MEAN, DEVIATION = 0.7, 0.4


def another(state, above=0.7):
    """UniPC that draws noise of the state's shape anew above a level."""
    source = torch.Generator().manual_seed(1)

    def fresh():
        return tuple(torch.randn(x.shape, dtype=x.dtype, generator=source) for x in state)

    return renewed(unipc, fresh, above)


def sampler_of(name, state):
    return another(state) if name == "renewed" else SAMPLERS[name]


every_sampler = pytest.mark.parametrize("name", [*sorted(SAMPLERS), "renewed"])


def gaussian_velocity(state, sigma):
    """The exact velocity for data drawn from N(MEAN, DEVIATION²)."""
    variance = (1 - sigma) ** 2 * DEVIATION**2 + sigma**2
    out = []
    for x in state:
        data = MEAN + (1 - sigma) * DEVIATION**2 / variance * (x - (1 - sigma) * MEAN)
        out.append((x - data) / sigma)
    return tuple(out)


def gaussian_end(x, sigma):
    """Where the exact flow carries x from sigma to 0."""
    spread = math.sqrt((1 - sigma) ** 2 * DEVIATION**2 + sigma**2)
    return MEAN + DEVIATION * (x - (1 - sigma) * MEAN) / spread


def end_error(sampler, steps):
    start = torch.linspace(-2, 2, 9, dtype=torch.float64)
    sigmas = schedule(steps, shift=1.0)
    (end,) = sampler(gaussian_velocity, (start,), sigmas)
    return (end - gaussian_end(start, float(sigmas[0]))).abs().max().item()


@every_sampler
def test_data_at_a_point_is_reached_from_any_noise_in_any_number_of_steps(name):
    point = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)

    def velocity(state, sigma):
        return ((state[0] - point) / sigma,)

    for steps in (1, 2, 3, 7):
        state = (torch.randn(3, dtype=torch.float64),)
        (end,) = sampler_of(name, state)(velocity, state, schedule(steps))
        torch.testing.assert_close(end, point)


def test_errors_shrink_at_the_order_of_the_method():
    assert end_error(euler, 32) / end_error(euler, 64) == pytest.approx(2, rel=0.2)
    assert end_error(unipc, 32) / end_error(unipc, 64) > 3.0
    assert end_error(unipc, 16) < end_error(euler, 64)


@every_sampler
def test_given_tokens_stay_where_they_are(name):
    given = torch.tensor([3.0, -1.0], dtype=torch.float64)

    def velocity(state, sigma):
        return (torch.zeros_like(state[0]), gaussian_velocity(state[1:], sigma)[0])

    state = (given, torch.zeros(4, dtype=torch.float64))
    sampler = (
        renewed(unipc, lambda: (given, torch.randn(4).double()), 0.7) if name == "renewed" else SAMPLERS[name]
    )
    end = sampler(velocity, state, schedule(12))
    torch.testing.assert_close(end[0], given)


@every_sampler
def test_the_callback_sees_every_step_and_can_end_the_walk(name):
    seen = []
    state = (torch.zeros(2),)
    sampler_of(name, state)(gaussian_velocity, state, schedule(6), seen.append)
    assert [step.index for step in seen] == list(range(6))
    assert {step.total for step in seen} == {6}
    assert [step.sigma for step in seen] == schedule(6)[:-1].tolist()

    class Enough(Exception):
        pass

    def stop(step):
        if step.index == 2:
            raise Enough

    with pytest.raises(Enough):
        sampler_of(name, state)(gaussian_velocity, state, schedule(6), stop)


def test_renewed_noise_forgets_what_went_wrong_in_the_first_steps():
    def mistaken(state, sigma):
        (v,) = gaussian_velocity(state, sigma)
        return (v - (2.0 if sigma > 0.95 else 0.0),)

    state = (torch.linspace(-2, 2, 9, dtype=torch.float64),)

    def harm(sampler):
        wrong, right = (sampler()(v, state, schedule(24))[0] for v in (mistaken, gaussian_velocity))
        return (wrong - right).abs().mean()

    assert harm(lambda: another(state)) < 0.05 * harm(lambda: unipc)


def test_noise_is_renewed_above_the_level_alone():
    state = (torch.linspace(-2, 2, 9, dtype=torch.float64),)
    plain = unipc(gaussian_velocity, state, schedule(8))[0]
    assert torch.equal(another(state, 1.0)(gaussian_velocity, state, schedule(8))[0], plain)
    drawn = []
    walk = renewed(unipc, lambda: drawn.append(1) or state, 0.7)
    walk(gaussian_velocity, state, schedule(8))
    assert len(drawn) == sum(sigma > 0.7 for sigma in schedule(8)[1:].tolist())


def test_the_schedule_is_the_published_one():
    published = torch.tensor([0.9998, 0.972, 0.9373, 0.8926, 0.8331, 0.7497, 0.6247, 0.4164, 0.0])
    torch.testing.assert_close(schedule(8, 5.0).float(), published, atol=6e-5, rtol=0)
    assert schedule(5).tolist()[:-1] == pytest.approx([0.9998, 0.9522, 0.8821, 0.7689, 0.5552], abs=6e-5)


def test_shift_one_changes_nothing_and_bad_values_are_named():
    sigma = torch.linspace(0, 1, 5)
    torch.testing.assert_close(shifted(sigma, 1.0), sigma)
    with pytest.raises(ValueError, match="shift is 0"):
        shifted(sigma, 0)
    with pytest.raises(ValueError, match="steps is 0"):
        schedule(0)


def test_training_levels_cover_every_stratum():
    levels = training_levels(64, 1.0, torch.Generator().manual_seed(0))
    assert sorted((levels * 64).long().tolist()) == list(range(64))
    again = training_levels(64, 1.0, torch.Generator().manual_seed(0))
    assert torch.equal(levels, again)
