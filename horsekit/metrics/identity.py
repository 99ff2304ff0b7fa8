"""Whether a clip shows the character it should, from first frame to last.

F frames, P parameters, E coordinates of a character, N characters to tell apart.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from horsekit.media import Clip, Picture
from horsekit.metrics.embedding import block_errors, blocks, embed, owners
from horsekit.metrics.reader import Reading, trained
from horsekit.metrics.statistics import median, theil_sen
from horsekit.stage import Character
from horsekit.stage.script import IDENTITIES

LEAST_FACES = 0.5  # share of frames
CHANCE = math.sqrt(2)  # the error of an unrelated character, which a clip without a face is given
CAST = 100

Target = Character | Sequence[Picture | Clip]


@dataclass(frozen=True)
class Identity:
    """Who is in a clip. None where there is nothing to say; `reason` tells why, else it is empty.

    error: root mean square over the parameters, in standard deviations of the population, median over
    frames (0 exact, 1.41 an unrelated character); drift: its Theil-Sen slope per second; own, other:
    distances to the character it should be and to the nearest of the others; parameters: squared error of
    each, mean over frames; faces: the share of frames with a face in view.
    """

    faces: float
    error: float | None = None
    drift: float | None = None
    own: float | None = None
    other: float | None = None
    parameters: tuple[float, ...] = ()
    reason: str = ""

    @property
    def found(self) -> bool:
        """Whether the clip is nearer to its character than to any other: top-1 retrieval."""
        return self.own is not None and self.own < self.other

    @property
    def margin(self) -> float | None:
        """By how much, negative where another is nearer."""
        return None if self.own is None else self.other - self.own


def point(target: Target) -> Tensor:
    """[E] of a character by its parameters, or as the reader sees it in pictures and clips, on average over them.

    ValueError where they show no face.
    """
    if isinstance(target, Character):
        return embed(target)
    if not len(target):
        raise ValueError("nothing to know the character by; give at least one picture or clip")
    frames = [shown.frames if isinstance(shown, Clip) else shown.pixels[None] for shown in target]
    readings = [trained().reader.read(part) for part in frames]
    faces = [reading.character.mean(0) for reading in readings if reading.faces >= LEAST_FACES]
    if not faces:
        raise ValueError(f"no face was found in {len(target)} picture(s) or clip(s); give some that show it")
    return torch.stack(faces).mean(0)


@cache
def cast(count: int = CAST) -> tuple[Character, ...]:
    """Held-out characters, the same ones always."""
    return tuple(map(Character.draw, IDENTITIES["held_out"][:count]))


@dataclass(frozen=True, eq=False)
class Crowd:
    """Characters to be told apart: points [N, E], and `looks`, the same read off pictures, if any."""

    points: Tensor
    looks: Tensor | None = None

    @classmethod
    def of(cls, characters: Sequence[Target], pictures: Sequence[Sequence[Picture]] = ()) -> "Crowd":
        """Characters, and pictures of each in the same order. ValueError for other counts."""
        if len(pictures) not in (0, len(characters)):
            raise ValueError(
                f"{len(pictures)} sets of pictures for {len(characters)} characters; give one each"
            )
        looks = torch.stack([point(p) for p in pictures]) if len(pictures) else None
        return cls(torch.stack([point(c) for c in characters]), looks)

    @classmethod
    def around(cls, target: Target) -> "Crowd":
        """One character first and 99 held-out ones, all known by parameters or all by pictures, like the first."""
        own = point(target)
        crowd = torch.stack([*map(point, cast())]) if isinstance(target, Character) else trained().cast
        others = crowd[(crowd != own).any(1)]
        return cls(torch.cat([own[None], others[: CAST - 1]]))


def distances(seen: Tensor, points: Tensor) -> Tensor:
    """[N] from a point [E] to points [N, E], each parameter weighted by how reliably it can be read."""
    weight = trained().reliability
    return ((block_errors(seen, points) * weight).sum(-1) / weight.sum()).sqrt()


def as_read(character: Tensor) -> Tensor:
    """What the reader makes on average of a character [E] that it sees.

    Of each parameter it gives back what it can tell, the reliable share, and the middle of the population for the rest.
    """
    return trained().reliability[owners()] * character


def way_between(seen: Tensor, own: Tensor, other: Tensor, where: Tensor | float = 1.0) -> float:
    """Where what is seen lies on the way from one character (0) to another (1); 0.5 is the average of both.

    The leakage λ = ⟨p̂ − pᵢ, pⱼ − pᵢ⟩ / ‖pⱼ − pᵢ‖² of points [E], reliable parameters first, in the coordinates
    `where` [E]. The characters are given as the reader sees them, by `as_read` or read off pictures: by what they
    are, everybody would seem to be part of the way towards everybody else.
    """
    way = trained().reliability[owners()] * where * (other - own)
    return ((way * (seen - own)).sum() / (way * (other - own)).sum().clamp(min=1e-9)).item()


def identity_of(reading: Reading, points: Tensor, own: int, fps: float) -> Identity:
    """Compare what was read from a clip with characters [N, E], of which number `own` is the clip's."""
    faces = reading.faces
    if faces < LEAST_FACES:
        return Identity(faces, reason=f"no face in view in {1 - faces:.0%} of the frames")
    errors = block_errors(reading.character, points[own])
    per_frame = errors.mean(1).sqrt()
    seconds = torch.arange(len(per_frame), dtype=torch.float64) / fps
    away = distances(reading.character.mean(0), points)
    others = torch.cat([away[:own], away[own + 1 :]])
    return Identity(
        faces,
        error=median(per_frame),
        drift=theil_sen(seconds, per_frame)[0] if len(per_frame) > 1 else None,
        own=away[own].item(),
        other=others.min().item(),
        parameters=tuple(errors.mean(0).tolist()),
    )


def parameter_names() -> list[str]:
    """The names that belong to Identity.parameters."""
    return [name for name, _, _ in blocks()]
