"""Classifier-free guidance: words, camera and light, pictures, voices and lips, each pulled on its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from horsekit.flow.samplers import State

_SOUND = 1  # its place in a state


class Branch(NamedTuple):
    """One forward of the model: its weights in the sums of the picture and of the sound, and what it is told.

    direction: whether the words tell of camera and light too; sound: whether the picture hears the clip's own sound;
    else that is noise to it.
    """

    weights: tuple[float, float]
    text: bool
    references: bool
    voices: bool
    direction: bool = True
    sound: bool = True


@dataclass(frozen=True)
class Guidance:
    """How far a velocity is pulled towards what the model is told, one thing after another:

    v = v₀ + reference·(v_r − v₀) + text·(v_w − v_r) + direction·(v_d − v_w) + voice·(v_v − v_d)
    + (sync − 1)·(v_v − v_deaf)

    v₀ knows nothing, v_r the reference pictures, v_w also the words but those on camera and light, v_d all words, v_v
    also the voices; v_deaf is v_v with noise for the clip's sound, and what it tells goes to the picture alone.
    direction: None for as much as text. Strength 1 asks for no exaggeration, and branches of weight 0 are not computed.
    sound_above: the noise level below which the sound is what the model makes of all that it is told, v_v or v_d,
    pulled by nothing: words and voice are settled by then, and pulling adds roughness (guidance in a limited interval,
    arXiv 2404.07724).
    """

    text: float = 3.0
    reference: float = 2.0
    voice: float = 1.0
    sync: float = 1.0
    direction: float | None = None
    sound_above: float = 0.0

    def __post_init__(self) -> None:
        for name in ("text", "reference", "voice", "sync", "direction"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, float)) and 0 <= value <= 30):
                raise ValueError(
                    f"{name} guidance is {value!r}; choose a strength from 0 to 30 (1 turns it off)"
                )
        if not (isinstance(self.sound_above, (int, float)) and 0 <= self.sound_above <= 1):
            raise ValueError(f"sound_above is {self.sound_above!r}; give a noise level from 0 to 1")

    def strength(self, name: str) -> float:
        """How strong one of them is; direction is as strong as text where nothing else is said."""
        value = getattr(self, name)
        return self.text if value is None else value

    def branches(self, has_references: bool, has_voices: bool = False) -> tuple[Branch, ...]:
        """The forwards to run; the weights sum to 1 for the picture and for the sound."""
        told = [(1.0, (False, False, False))]
        if has_references:
            told.append((self.reference, (False, True, False)))
        told.append((self.text, (True, has_references, False, False)))
        told.append((self.strength("direction"), (True, has_references, False)))
        if has_voices:
            told.append((self.voice, (True, has_references, True)))
        strengths = [strength for strength, _ in told] + [0.0]
        weights = [(own - after,) * 2 for own, after in pairwise(strengths)]
        weights[-1] = (weights[-1][0] + self.sync - 1, weights[-1][1])
        every = [Branch(w, *what) for w, (_, what) in zip(weights, told, strict=True)]
        every.append(Branch((1 - self.sync, 0.0), *told[-1][1], sound=False))
        return tuple(branch for branch in every if any(branch.weights))


def combine(branches: Sequence[Branch], velocities: Sequence[State], sound_pulled: bool = True) -> State:
    """The weighted sums of the branches' velocities; of the sound, unless pulled, the branch that is told most."""
    assert len(branches) == len(velocities) > 0
    told = max(number for number, branch in enumerate(branches) if branch.sound)
    return tuple(
        velocities[told][k]
        if k == _SOUND and not sound_pulled
        else sum((b.weights[k] * v[k] for b, v in zip(branches, velocities, strict=True)), start=0.0)
        for k in range(len(velocities[0]))
    )
