"""The background: a round room with a soft wall and floor, and coloured balls at known places."""

import colorsys
import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from horsekit.stage.camera import DISTANCE, FOCAL, TARGET
from horsekit.stage.seeding import generator, uniform

WALL_RADIUS = 7.5
FLOOR = -2.1
WAVES = 4
_NEAR, _AROUND = 10, 6


class Markers(NamedTuple):
    """Balls that hang in the room: position [K, 3] and radius [K] in world units, colour [K, 3] sRGB."""

    position: Tensor
    radius: Tensor
    colour: Tensor


class Decor(NamedTuple):
    """The room's paint: wall [3, 3] and floor [2, 3] sRGB; waves [WAVES, 3].

    A wave is (turns round the room, radians per unit of height, phase); waves feed two fields in turn.
    """

    wall: Tensor
    floor: Tensor
    waves: Tensor


@dataclass(frozen=True)
class Background:
    """The room of a seed; real geometry, so that it shows parallax and the camera can be found from it."""

    seed: int = 0

    @cached_property
    def markers(self) -> Markers:
        """Ten balls in view of the default camera beside and above the subject, and six round about."""
        source = generator(self.seed, "markers")
        places, radii = [], []
        depths = [2.2 + 6.2 * (i + uniform(source, 0.1, 0.9)) / _NEAR for i in range(_NEAR)]
        order = torch.randperm(_NEAR, generator=source).tolist()
        for i in range(_NEAR):
            # five heights on either side of the frame, each at its own depth behind the subject
            u = (-1 if i % 2 else 1) * uniform(source, 0.22, 0.47)
            v = 0.44 - 0.15 * (i // 2) - uniform(source, 0.0, 0.1)
            depth = DISTANCE + depths[order[i]] - 1.2
            places.append((u * depth / FOCAL, TARGET[1] + v * depth / FOCAL, DISTANCE - depth))
            radii.append(uniform(source, 0.036, 0.062) * depth / FOCAL)
        for i in range(_AROUND):
            angle = (-1 if i % 2 else 1) * math.radians(48 + 14 * (i // 2) + uniform(source, -5, 5))
            away = uniform(source, 3.0, 5.5)
            places.append((away * math.sin(angle), uniform(source, -1.2, 1.8), -away * math.cos(angle)))
            radii.append(uniform(source, 0.22, 0.4))
        turn = uniform(source, 0.0, 1.0)
        hues = torch.randperm(_NEAR + _AROUND, generator=source).tolist()
        colours = [
            colorsys.hsv_to_rgb((turn + h / len(hues)) % 1.0, 0.64 if h % 2 else 0.42, 0.9 if h % 2 else 0.98)
            for h in hues
        ]
        return Markers(torch.tensor(places), torch.tensor(radii), torch.tensor(colours))

    @cached_property
    def decor(self) -> Decor:
        """Paint of the room, pale enough that whoever stands before it stands out."""
        source = generator(self.seed, "decor")
        hue = uniform(source, 0.0, 1.0)
        steps = (0.0, uniform(source, 0.08, 0.2), uniform(source, -0.25, -0.08))
        values = (uniform(source, 0.78, 0.9), uniform(source, 0.55, 0.7), uniform(source, 0.88, 0.97))
        wall = [
            colorsys.hsv_to_rgb((hue + s) % 1.0, uniform(source, 0.18, 0.38), v)
            for s, v in zip(steps, values, strict=True)
        ]
        floor_hue = (hue + uniform(source, 0.3, 0.7)) % 1.0
        floor = [colorsys.hsv_to_rgb(floor_hue, 0.3, v) for v in (0.62, 0.5)]
        waves = [
            (round(uniform(source, 4, 15)), uniform(source, -1.8, 1.8), uniform(source, 0, math.tau))
            for _ in range(WAVES)
        ]
        return Decor(torch.tensor(wall), torch.tensor(floor), torch.tensor(waves))
