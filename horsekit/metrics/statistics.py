"""Robust slopes, and what a mean over clips is worth.

N observations, C clips.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A figure over clips with its 95% interval."""

    value: float
    low: float
    high: float


def theil_sen(times: Tensor, values: Tensor) -> tuple[float, float]:
    """The line through [N] points: (slope, value at time 0), medians over pairs and over points.

    ValueError below two distinct times. Source: Theil 1950, Sen 1968.
    """
    times, values = times.double(), values.double()
    step = times[None, :] - times[:, None]
    pairs = step > 0
    if not pairs.any():
        raise ValueError(f"a slope needs two distinct times, not {times.tolist()}")
    slope = median((values[None, :] - values[:, None])[pairs] / step[pairs])
    return slope, median(values - slope * times)


def median(values: Tensor) -> float:
    """The median of [N], the mean of the middle two where N is even."""
    return values.double().quantile(0.5).item()


def middle(rows: Tensor) -> Tensor:
    """The median of each row [R, C], as a figure for bootstrap."""
    return rows.quantile(0.5, dim=-1)


def spearman(first: Tensor, second: Tensor) -> float:
    """Rank correlation of two [N], ties at their mean rank; 0 where one of them does not vary."""
    a, b = (_ranks(x) for x in (first, second))
    a, b = a - a.mean(), b - b.mean()
    power = a.norm() * b.norm()
    return 0.0 if power == 0 else ((a @ b) / power).item()


def _ranks(values: Tensor) -> Tensor:
    below = (values[:, None] > values[None]).double().sum(1)
    return below + ((values[:, None] == values[None]).double().sum(1) - 1) / 2


def means_of(values: Sequence[float], groups: Sequence[int]) -> list[float]:
    """The mean of each group's values: what one speaker says several times is one observation."""
    return [
        fmean(value for value, group in zip(values, groups, strict=True) if group == one)
        for one in sorted(set(groups))
    ]


def bootstrap(
    values: Sequence[float], figure: Callable[[Tensor], Tensor] | None = None, seed: int = 0
) -> Interval | None:
    """`figure` (the mean unless given) of C clips' values with its 95% percentile interval over clips.

    figure maps [R, C] to [R]. None for no clips.
    """
    if not len(values):
        return None
    data = torch.tensor(list(values), dtype=torch.float64)
    figure = figure or (lambda rows: rows.mean(-1))
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randint(len(data), (RESAMPLES, len(data)), generator=generator)
    spread = figure(data[draws]).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
    return Interval(figure(data[None])[0].item(), *spread.tolist())
