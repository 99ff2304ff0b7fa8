"""Whether two characters in a shot are each themselves, and where they should be.

E coordinates of a character.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from einops import rearrange
from torch import Tensor

from horsekit.media import Clip
from horsekit.media.picture import fit
from horsekit.metrics.alignment import places, sampled
from horsekit.metrics.identity import LEAST_FACES, as_read, distances, way_between
from horsekit.metrics.reader import FACE, SIZE, trained

SIDES = (-0.24, 0.24)  # the middle of either character, in picture heights
CROP = 0.6  # picture heights across: as much as the reader is used to see round a face
STRIDE = 4  # frames
APART = 0.38  # picture heights between two mouths: one that is seen from both sides is up to 0.36 from itself


@dataclass(frozen=True)
class Binding:
    """Who is on the left and who on the right.

    matrix: distance of each side from (left, right) character, see identity.distances; right: whether the
    likelier assignment of the two is the one asked for; leakage of each side: how far it lies on the way from
    its character to the other (0 none, 0.5 the average of both, 1 the other); astray: the same towards
    bystanders who are not in the shot, their and the sides' mean, which is what leakage is of a model that makes
    characters less well than asked but does not mix them; reason: why the clip is unusable, or empty.
    """

    matrix: tuple[tuple[float, float], tuple[float, float]] | None = None
    right: bool = False
    leakage: tuple[float, float] | None = None
    astray: float | None = None
    reason: str = ""


def binding_of(clip: Clip, left: Tensor, right: Tensor, bystanders: Sequence[Tensor] = ()) -> Binding:
    """Compare either side of a clip with the characters, points [E], that were asked for there.

    bystanders: others, who should not be in it.
    """
    wanted, seen = torch.stack([left, right]), []
    for side, name in zip(SIDES, ("left", "right"), strict=True):
        reading = trained().reader.read(_crop(clip.frames[::STRIDE], side))
        faces = reading.faces
        if faces < LEAST_FACES:
            return Binding(reason=f"no face on the {name} in {1 - faces:.0%} of the frames")
        seen.append(reading.character.mean(0))
    rows = [distances(one, wanted) for one in seen]
    (a, b), (c, d) = matrix = tuple(tuple(row.tolist()) for row in rows)
    ends = as_read(wanted)
    leakage = tuple(way_between(seen[k], ends[k], ends[1 - k]) for k in range(2))
    astray = [way_between(seen[k], ends[k], as_read(other)) for other in bystanders for k in range(2)]
    return Binding(matrix, a + d < b + c, leakage, fmean(astray) if astray else None)


def pairs(frames: Tensor) -> Tensor:
    """In which of frames [F, H, W, 3] a character is seen on either side, with a mouth of its own, [F] bool."""
    pictures = fit(frames, SIZE, SIZE)
    left, right = (trained().reader.read(_crop(pictures, side)) for side in SIDES)
    apart = SIDES[1] - SIDES[0] + CROP * (right.mouth[:, 0] - left.mouth[:, 0])
    return (left.face >= FACE) & (right.face >= FACE) & (apart > APART)


def _crop(frames: Tensor, middle: float) -> Tensor:
    """A square of frames [F, H, W, 3] about a place, enlarged to what the reader reads."""
    at = places(SIZE) * CROP + torch.tensor([middle, 0.0])
    pictures = rearrange(frames.float(), "F H W C -> F C H W")
    cut = sampled(pictures, at.expand(len(frames), -1, -1, -1), "border")
    return rearrange(cut, "F C H W -> F H W C").round().to(torch.uint8)
