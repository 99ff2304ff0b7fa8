"""The picture of a known character, laid over a frame.

H W pixels, D directions of light.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor

from horsekit.metrics.alignment import align
from horsekit.stage import (
    ALONE,
    DIRECTIONS,
    SPEEDS,
    Background,
    CameraMove,
    Character,
    Light,
    Scene,
    render,
)

SIZE = 64
CENTRE = torch.tensor([0.0, -0.05])
_SHINING = 0.004  # of linear light


class Figure(NamedTuple):
    """What one unit of key from each direction [D, H, W, 3], and of fill [H, W, 3], shows of a character, and where."""

    key: Tensor
    fill: Tensor
    mask: Tensor


def usual_frame(move: CameraMove, frames: int) -> int:
    """The frame in which a centred move has the usual framing: its middle, or the far end of one that comes close."""
    if move.kind in ("dolly_in", "zoom_in"):
        return 0
    if move.kind in ("dolly_out", "zoom_out"):
        return frames - 1
    return round((frames - 1) * SPEEDS[move.speed] / 2)


def to_linear(frames: Tensor) -> Tensor:
    """sRGB bytes to linear light (IEC 61966-2-1)."""
    x = frames.float() / 255
    return torch.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


@lru_cache(maxsize=128)
def figure_of(character: Character) -> Figure:
    """The figure of a character as the camera usually frames it."""
    lights = [Light(d, "white", stops, "matte") for stops in ("low", "high") for d in range(len(DIRECTIONS))]
    rooms = [Background(0)] * len(lights) + [Background(1)]
    scenes = [
        Scene(1, (character,), ALONE, CameraMove(), light, room)
        for light, room in zip([*lights, lights[0]], rooms, strict=True)
    ]
    views = render(scenes, [torch.zeros(1, 1, 5)] * len(scenes), SIZE)
    frames = torch.stack([view.frames[0] for view in views])
    soft, hard = to_linear(frames[:-1]).chunk(2)
    (a, b), (c, d) = ((1 - light.fill, light.fill) for light in (lights[0], lights[-1]))
    key, fill = (d * soft - b * hard) / (a * d - b * c), (a * hard - c * soft) / (a * d - b * c)
    mask = (frames[0] == frames[-1]).all(-1)  # what another room leaves as it is
    return Figure(key.clamp(min=0), fill.mean(0).clamp(min=0), mask.float())


@lru_cache(maxsize=128)
def skin_of(character: Character) -> Tensor:
    """Where the figure of a character shows skin that can shine, [H, W]: where gloss makes a difference."""
    glosses = [Light(d, "white", "low", gloss) for gloss in ("matte", "oily") for d in (0, 2, 6)]
    scenes = [Scene(1, (character,), ALONE, CameraMove(), light, Background(0)) for light in glosses]
    views = render(scenes, [torch.zeros(1, 1, 5)] * len(scenes), SIZE)
    matte, oily = to_linear(torch.stack([view.frames[0] for view in views])).chunk(2)
    return (oily - matte).abs().amax((0, 3)) > _SHINING


def lay_over(figure: Figure, frame: Tensor) -> Tensor:
    """The similarity [1, 4] about CENTRE that carries the figure to where it is in a frame [H, W, 3]."""
    picture = rearrange(frame.float() / 255, "H W C -> 1 C H W")
    front = 0.6 * figure.key[[7, 0, 1]].mean(0) + 0.4 * figure.fill
    expected = rearrange(front.clamp(0, 1).pow(1 / 2.2), "H W C -> 1 C H W")
    expected = (
        expected * picture.mean((2, 3), keepdim=True) / expected.mean((2, 3), keepdim=True).clamp(min=1e-3)
    )
    return align(expected, picture, figure.mask, CENTRE)
