"""The mouth: one shape, from which the paint and the exact box are both made.

C characters, F frames.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from horsekit.stage.puppet import JAW_DROP, MOUTH_HEIGHT


class MouthShape(NamedTuple):
    """Half width and half height of the opening, thickness of the lips, and the height of the middle.

    All in the head's frame, of any one shape; `smile` lifts the corners by that much.
    """

    wide: Tensor
    high: Tensor
    lip: Tensor
    middle: Tensor
    smile: Tensor


# a closed mouth still shows its line, about a pixel high in the smallest pictures
_LINE = 0.013


def mouth_shape(mouth: Tensor, mouth_width: Tensor, lip_fullness: Tensor) -> MouthShape:
    """The shape of mouth [5, ...] (aperture, width, rounding, teeth, tongue) of a character's own mouth."""
    aperture, width, rounding = mouth[0], mouth[1], mouth[2]
    wide = mouth_width * (0.74 + 0.5 * width) * (1 - 0.46 * rounding)
    high = _LINE + 0.135 * aperture * (1 + 0.12 * rounding)
    lip = lip_fullness * (1 + 0.7 * rounding - 0.15 * width)
    middle = MOUTH_HEIGHT - 0.4 * JAW_DROP * aperture
    return MouthShape(wide, high, lip, middle, 0.045 * (0.35 + width) * (1 - rounding) * (1 - 0.6 * aperture))


def outline(shape: MouthShape, points: int = 32) -> tuple[Tensor, Tensor]:
    """x and y [..., points] of the outer edge of the lips, in the head's frame."""
    angle = torch.linspace(0, 2 * torch.pi, points + 1, device=shape.wide.device)[:-1]
    x = (shape.wide + 0.8 * shape.lip)[..., None] * angle.cos()
    y = (shape.high + shape.lip)[..., None] * angle.sin()
    bend = shape.smile[..., None] * (x / shape.wide[..., None]).square()
    return x, shape.middle[..., None] + y + bend


def ellipse(x: Tensor, y: Tensor, wide: Tensor, high: Tensor) -> Tensor:
    """Signed distance to an ellipse round the origin, negative inside; exact to first order at its edge."""
    a, b = x / wide, y / high
    k = (a * a + b * b).sqrt()
    slope = ((a / wide).square() + (b / high).square()).sqrt().clamp(min=1e-6)
    return torch.maximum(k * (k - 1) / slope, -torch.minimum(wide, high))
