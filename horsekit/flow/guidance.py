"""Classifier-free guidance with the words and the reference pictures pulled apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from horsekit.flow.samplers import State


class Branch(NamedTuple):
    """One forward of the model: its weight in the sum, and what it is told."""

    weight: float
    text: bool
    references: bool


@dataclass(frozen=True)
class Guidance:
    """v = v₀ + reference·(v_r − v₀) + text·(v_rt − v_r): first the pictures, then the words.

    v₀ knows neither, v_r the reference pictures, v_rt both. Strength 1 asks for no exaggeration, and branches
    of weight 0 are not computed.
    """

    text: float = 3.0
    reference: float = 2.0

    def __post_init__(self) -> None:
        for name in ("text", "reference"):
            value = getattr(self, name)
            if not 0 <= value <= 30:
                raise ValueError(
                    f"{name} guidance is {value}; choose a strength from 0 to 30 (1 turns it off)"
                )

    def branches(self, has_references: bool) -> tuple[Branch, ...]:
        """The forwards to run, with weights that sum to 1."""
        if not has_references:
            every = [Branch(1 - self.text, False, False), Branch(self.text, True, False)]
        else:
            every = [
                Branch(1 - self.reference, False, False),
                Branch(self.reference - self.text, False, True),
                Branch(self.text, True, True),
            ]
        return tuple(branch for branch in every if branch.weight != 0)


def combine(branches: Sequence[Branch], velocities: Sequence[State]) -> State:
    """The weighted sum of the branches' velocities."""
    assert len(branches) == len(velocities) > 0
    return tuple(
        sum((b.weight * part for b, part in zip(branches, parts, strict=True)), start=0.0)
        for parts in zip(*velocities, strict=True)
    )
