"""Classifier-free guidance: words, reference pictures and voices pulled apart, and the picture pulled to the sound."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from horsekit.flow.samplers import State


class Branch(NamedTuple):
    """One forward of the model: its weights in the sums of the picture and of the sound, and what it is told.

    sound: whether the picture hears the clip's own sound; else that is noise to it.
    """

    weights: tuple[float, float]
    text: bool
    references: bool
    voices: bool
    sound: bool = True


@dataclass(frozen=True)
class Guidance:
    """v = v₀ + reference·(v_r − v₀) + text·(v_rt − v_r) + voice·(v_rtv − v_rt) + (sync − 1)·(v_rtv − v_deaf).

    v₀ knows nothing, v_r the reference pictures, v_rt also the words, v_rtv also the voices; v_deaf is v_rtv with
    noise for the clip's sound, and what it tells goes to the picture alone. Strength 1 asks for no exaggeration, and
    branches of weight 0 are not computed.
    """

    text: float = 3.0
    reference: float = 2.0
    voice: float = 1.0
    sync: float = 1.0

    def __post_init__(self) -> None:
        for name in ("text", "reference", "voice", "sync"):
            value = getattr(self, name)
            if not 0 <= value <= 30:
                raise ValueError(
                    f"{name} guidance is {value}; choose a strength from 0 to 30 (1 turns it off)"
                )

    def branches(self, has_references: bool, has_voices: bool = False) -> tuple[Branch, ...]:
        """The forwards to run; the weights sum to 1 for the picture and for the sound."""
        told = [(1.0, (False, False, False))]
        if has_references:
            told.append((self.reference, (False, True, False)))
        told.append((self.text, (True, has_references, False)))
        if has_voices:
            told.append((self.voice, (True, has_references, True)))
        strengths = [strength for strength, _ in told] + [0.0]
        weights = [(own - after,) * 2 for own, after in pairwise(strengths)]
        weights[-1] = (weights[-1][0] + self.sync - 1, weights[-1][1])
        every = [Branch(w, *what) for w, (_, what) in zip(weights, told, strict=True)]
        every.append(Branch((1 - self.sync, 0.0), *told[-1][1], sound=False))
        return tuple(branch for branch in every if any(branch.weights))


def combine(branches: Sequence[Branch], velocities: Sequence[State]) -> State:
    """The weighted sums of the branches' velocities."""
    assert len(branches) == len(velocities) > 0
    return tuple(
        sum((b.weights[k] * v[k] for b, v in zip(branches, velocities, strict=True)), start=0.0)
        for k in range(len(velocities[0]))
    )
