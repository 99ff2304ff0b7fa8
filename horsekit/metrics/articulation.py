"""Whether the mouth takes the shapes of the sounds that are heard: lips shut for /p b m/, open for vowels.

P phonemes, F frames.
"""

from dataclasses import dataclass

import torch

from horsekit.media import Clip
from horsekit.metrics.sync import MouthTrace
from horsekit.metrics.words import heard_at
from horsekit.stage.speech import Speech
from horsekit.stage.visemes import mouth_at

# Apertures, 0 to 1, that part shut from narrow and narrow from wide.
BOUNDS = torch.tensor([0.15, 0.42])
LIPS_MEET = 0.04  # seconds around its centre in which the closure of a phoneme must be seen
LEAST_PHONEMES = 3


@dataclass(frozen=True)
class Articulation:
    """Of one clip: the share of closures made, and of phonemes at whose centre the mouth has the right class.

    closures: None where the line has no /p b m/; phonemes: how many were compared; reason: why the clip is
    unusable, or empty; both shares are 0 then, if there was anything to see.
    """

    closures: float | None = None
    shapes: float = 0.0
    phonemes: int = 0
    reason: str = ""


def articulation(mouth: MouthTrace, clip: Clip, line: Speech) -> Articulation:
    """How the mouth of a clip goes with the sound of its own `line`, in any voice and at any pace.

    When each phoneme is heard follows from the alignment of the clip's sound with that of the line; what the
    mouth should be then, from the stage's own curve (its classes: shut, narrow, wide).
    """
    phonemes = [p for p in line.phonemes if p.symbol]
    shut = torch.tensor(["closed" in p.visemes for p in phonemes])
    centres = torch.tensor([p.centre for p in phonemes], dtype=torch.float64)
    heard = heard_at(clip.sound, line.sound, centres)
    reason = mouth.reason or ("" if heard is not None else "nothing is heard")
    inside = torch.zeros(0, dtype=torch.bool)
    if not reason:
        inside = (heard >= 0) & (heard <= (len(mouth.aperture) - 1) / float(clip.fps))
        if int(inside.sum()) < LEAST_PHONEMES:
            reason = "too little of the line is heard"
    if reason:
        return Articulation(0.0 if bool(shut.any()) else None, reason=reason)
    shut, heard = shut[inside], heard[inside]
    wanted = torch.bucketize(mouth_at(line.phonemes, centres[inside])[:, 0].contiguous(), BOUNDS)
    seen = torch.bucketize(_aperture(mouth, clip, heard), BOUNDS)
    around = torch.stack([_aperture(mouth, clip, heard + LIPS_MEET * step / 2) for step in range(-2, 3)])
    met = (around.amin(0) < BOUNDS[0])[shut].double()
    return Articulation(
        met.mean().item() if len(met) else None,
        (wanted == seen).double().mean().item(),
        len(seen),
    )


def _aperture(mouth: MouthTrace, clip: Clip, times: torch.Tensor) -> torch.Tensor:
    """The trace at `times` in seconds, linear between frames."""
    at = (times * float(clip.fps)).clamp(0, len(mouth.aperture) - 1)
    left = at.floor().long().clamp(max=max(0, len(mouth.aperture) - 2))
    right = (left + 1).clamp(max=len(mouth.aperture) - 1)
    part = (at - left).to(mouth.aperture.dtype)
    return mouth.aperture[left] * (1 - part) + mouth.aperture[right] * part
