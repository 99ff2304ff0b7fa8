"""Classifier-free guidance with the words, the reference pictures and the voices pulled apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from horsekit.flow.samplers import State


class Branch(NamedTuple):
    """One forward of the model: its weight in the sum, and what it is told."""

    weight: float
    text: bool
    references: bool
    voices: bool


@dataclass(frozen=True)
class Guidance:
    """v = v₀ + reference·(v_r − v₀) + text·(v_rt − v_r) + voice·(v_rtv − v_rt): pictures, then words, then voices.

    v₀ knows nothing, v_r the reference pictures, v_rt also the words, v_rtv also the voices. Strength 1 asks for no
    exaggeration, and branches of weight 0 are not computed.
    """

    text: float = 3.0
    reference: float = 2.0
    voice: float = 1.0

    def __post_init__(self) -> None:
        for name in ("text", "reference", "voice"):
            value = getattr(self, name)
            if not 0 <= value <= 30:
                raise ValueError(
                    f"{name} guidance is {value}; choose a strength from 0 to 30 (1 turns it off)"
                )

    def branches(self, has_references: bool, has_voices: bool = False) -> tuple[Branch, ...]:
        """The forwards to run, with weights that sum to 1."""
        voice = self.voice if has_voices else 0.0
        every = (
            Branch(1 - (self.reference if has_references else self.text), False, False, False),
            Branch(self.reference - self.text if has_references else 0.0, False, has_references, False),
            Branch(self.text - voice, True, has_references, False),
            Branch(voice, True, has_references, True),
        )
        return tuple(branch for branch in every if branch.weight != 0)


def combine(branches: Sequence[Branch], velocities: Sequence[State]) -> State:
    """The weighted sum of the branches' velocities."""
    assert len(branches) == len(velocities) > 0
    return tuple(
        sum((b.weight * part for b, part in zip(branches, parts, strict=True)), start=0.0)
        for parts in zip(*velocities, strict=True)
    )
