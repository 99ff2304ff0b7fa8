"""A character as a point: every parameter of equal weight, and only what can be seen.

P parameters, E coordinates.
"""

import math
from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor

from horsekit.stage import PARAMETERS, Character

# a parameter that cannot be seen sits at the middle of its population: (parameter, what hides it)
_HIDDEN = {
    "ear_size": lambda c: c["ear_kind"] == "none",
    "hat_hue": lambda c: c["hat_kind"] == "none",
    "hat_value": lambda c: c["hat_kind"] == "none",
    "pattern_hue": lambda c: c["pattern_kind"] == "plain" and c["garment_kind"] != "crew neck",
    "pattern_scale": lambda c: c["pattern_kind"] in ("plain", "yoke"),
    "accessory_hue": lambda c: (
        c["accessory_kind"] == "none" and c["hat_kind"] in ("none", "beret") and c["hair_kind"] != "pigtails"
    ),
    "emblem_hue": lambda c: c["emblem_kind"] == "none",
}


def blocks() -> Iterator[tuple[str, str, slice]]:
    """Name, kind and coordinates of every parameter, in order."""
    start = 0
    for p in PARAMETERS:
        width = {"continuous": 1, "hue": 2, "categorical": len(p.choices)}[p.kind]
        yield p.name, p.kind, slice(start, start + width)
        start += width


@cache
def owners() -> Tensor:
    """[E] the parameter each coordinate belongs to."""
    return torch.cat([torch.full((b.stop - b.start,), i) for i, (_, _, b) in enumerate(blocks())])


def embed(character: Character) -> Tensor:
    """[E]: z-scores, hues as (cos, sin), kinds one-hot.

    A parameter that is drawn evenly has unit variance in its block. What this character does not show
    (the hue of a hat it does not wear) is at its block's mean, 0.
    """
    parts = []
    for parameter, stored in zip(PARAMETERS, character.parameters.tolist(), strict=True):
        if parameter.kind == "continuous":
            part = torch.tensor([(stored - 0.5) * math.sqrt(12)])
        elif parameter.kind == "hue":
            angle = 2 * math.pi * stored
            part = torch.tensor([math.cos(angle), math.sin(angle)])
        else:
            count = len(parameter.choices)
            part = one_hot_scale(count) * (torch.eye(count)[round(stored * (count - 1))] - 1 / count)
        hidden = _HIDDEN.get(parameter.name)
        parts.append(0 * part if hidden and hidden(character) else part)
    return torch.cat(parts)


def one_hot_scale(count: int) -> float:
    """What gives a centred one-hot of `count` equally likely kinds unit variance in all."""
    return 1 / math.sqrt(1 - 1 / count)


def block_errors(a: Tensor, b: Tensor) -> Tensor:
    """[..., P] squared error of each parameter, in units of its population's variance, of [..., E]."""
    squared = (a - b).square()
    shape = (*squared.shape[:-1], len(PARAMETERS))
    return torch.zeros(shape, dtype=squared.dtype).index_add(-1, owners(), squared)
