"""Samplers: walk a state from noise to data along falling noise levels.

A state is a tuple of tensors (video, audio). `velocity(state, sigma)` returns a tuple of the same shapes.
Every sampler calls `callback` after each step, so that a notebook can show how a clip comes into being; an
exception raised there ends the walk.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

State = tuple[Tensor, ...]
Velocity = Callable[[State, float], State]


@dataclass(frozen=True, eq=False)
class Step:
    """What a callback sees: `denoised` is the prediction of the finished state at this step."""

    index: int
    total: int
    sigma: float
    state: State
    denoised: State


Callback = Callable[[Step], None]
Sampler = Callable[..., State]


def _denoised(state: State, velocity: State, sigma: float) -> State:
    return tuple(x - sigma * v for x, v in zip(state, velocity, strict=True))


def euler(velocity: Velocity, state: State, sigmas: Tensor, callback: Callback | None = None) -> State:
    """First-order steps x ← x + (σ′ − σ) v. sigmas: [steps + 1], falling to 0."""
    levels = sigmas.tolist()
    total = len(levels) - 1
    for index in range(total):
        sigma, following = levels[index], levels[index + 1]
        v = velocity(state, sigma)
        denoised = _denoised(state, v, sigma)
        state = tuple(x + (following - sigma) * dx for x, dx in zip(state, v, strict=True))
        if callback is not None:
            callback(Step(index, total, sigma, state, denoised))
    return state


def unipc(velocity: Velocity, state: State, sigmas: Tensor, callback: Callback | None = None) -> State:
    """UniPC of order 2, B(h) = eʰ − 1, data prediction (arXiv 2302.04867, in the form of SPEC §3.3).

    Predictor of order 1 on the first and last steps, 2 between; a corrector refines each state with the
    prediction made at it, from the second step on.
    """
    levels = sigmas.tolist()
    total = len(levels) - 1
    history: list[State] = []  # data predictions at levels[0..index]
    before = state  # the state the last predictor started from
    for index in range(total):
        denoised = _denoised(state, velocity(state, levels[index]), levels[index])
        if index > 0:
            state = _correct(before, history, denoised, levels, index)
        history.append(denoised)
        before = state
        second_order = 0 < index < total - 1
        state = _predict(state, history, levels, index, second_order)
        if callback is not None:
            callback(Step(index, total, levels[index], state, denoised))
    return state


def renewed(sampler: Sampler, fresh: Callable[[], State], above: float) -> Sampler:
    """The sampler after steps that draw their noise anew: x ← (1 − σ′) x₀ + σ′ ε, while σ′ is above `above`.

    What a deterministic walk settles in its first steps it cannot mend; here every step looks at the layout afresh
    (the multistep sampling of arXiv 2303.01469, algorithm 1, at high noise alone, since it takes grain away).
    fresh: noise as the walk began with, the given tokens in their places.
    """

    def walk(velocity: Velocity, state: State, sigmas: Tensor, callback: Callback | None = None) -> State:
        levels, total = sigmas.tolist(), len(sigmas) - 1
        turn = sum(sigma > above for sigma in levels[1:])
        for index in range(turn):
            sigma, following = levels[index], levels[index + 1]
            denoised = _denoised(state, velocity(state, sigma), sigma)
            noise = fresh()
            state = tuple((1 - following) * x + following * e for x, e in zip(denoised, noise, strict=True))
            if callback is not None:
                callback(Step(index, total, sigma, state, denoised))

        def later(step: Step) -> None:
            if callback is not None:
                callback(replace(step, index=step.index + turn, total=total))

        return sampler(velocity, state, sigmas[turn:], later)

    return walk


def _half_log_snr(sigma: float) -> float:
    return math.inf if sigma == 0 else math.log1p(-sigma) - math.log(sigma)


def _exponential_step(before: Tensor, data: Tensor, sigma: float, following: float) -> tuple[Tensor, float]:
    """The exact solution for constant data, and the factor α·B(h) that weighs corrections to it."""
    b = math.expm1(_half_log_snr(sigma) - _half_log_snr(following))  # expm1(−h)
    alpha = 1 - following
    return (following / sigma) * before - alpha * b * data, alpha * b


def _predict(state: State, history: list[State], levels: list[float], index: int, second: bool) -> State:
    sigma, following = levels[index], levels[index + 1]
    moved = []
    for k, x in enumerate(state):
        base, factor = _exponential_step(x, history[-1][k], sigma, following)
        if second:
            base = base - factor * 0.5 * _slope(history, levels, index, index + 1, k)
        moved.append(base)
    return tuple(moved)


def _slope(history: list[State], levels: list[float], index: int, following: int, k: int) -> Tensor:
    """Finite difference of the data prediction at `index`, in units of the step from it to `following`."""
    h = _half_log_snr(levels[following]) - _half_log_snr(levels[index])
    ratio = (_half_log_snr(levels[index - 1]) - _half_log_snr(levels[index])) / h
    return (history[index - 1][k] - history[index][k]) / ratio


def _correct(before: State, history: list[State], denoised: State, levels: list[float], index: int) -> State:
    """Redo the step into `index`, now that the prediction there is known."""
    last = index - 1
    h = _half_log_snr(levels[index]) - _half_log_snr(levels[last])
    corrected = []
    for k, x in enumerate(before):
        base, factor = _exponential_step(x, history[last][k], levels[last], levels[index])
        change = denoised[k] - history[last][k]
        if index == 1:
            corrected.append(base - factor * 0.5 * change)
            continue
        ratio = (_half_log_snr(levels[last - 1]) - _half_log_snr(levels[last])) / h
        slope = (history[last - 1][k] - history[last][k]) / ratio
        weight_slope, weight_change = _corrector_weights(-h, ratio)
        corrected.append(base - factor * (weight_slope * slope + weight_change * change))
    return tuple(corrected)


def _corrector_weights(hh: float, ratio: float) -> tuple[float, float]:
    """Solve [[1, 1], [ratio, 1]] ρ = b for the two-point corrector (UniPC, eq. 11)."""
    b_h = math.expm1(hh)
    phi_1 = b_h / hh - 1
    phi_2 = phi_1 / hh - 0.5
    first, second = phi_1 / b_h, 2 * phi_2 / b_h
    weight_slope = (first - second) / (1 - ratio)
    return weight_slope, first - weight_slope


SAMPLERS: dict[str, Sampler] = {"euler": euler, "unipc": unipc}
