"""What is painted on the solids: faces, eyes, cloth with its pattern and emblem, and the room itself.

n samples. Every edge is a signed distance turned into a share of the sample's footprint, so that no
pattern is sharper than the picture. All colours are linear light.
"""

import math

import torch
from torch import Tensor

from horsekit.stage.background import FLOOR, WALL_RADIUS
from horsekit.stage.mouth import ellipse, mouth_shape
from horsekit.stage.puppet import EMBLEM_HEIGHT

_CAVITY = (0.045, 0.006, 0.008)
_TEETH = (0.86, 0.84, 0.78)
_TONGUE = (0.55, 0.10, 0.10)
_BLUSH = (0.85, 0.16, 0.16)
_PUPIL = (0.008, 0.008, 0.01)


def covered(distance: Tensor, footprint: Tensor) -> Tensor:
    """Share of a footprint inside an edge: 1 where distance ≪ 0, 0 where ≫ 0."""
    return (0.5 - distance / footprint).clamp(0, 1)


def over(base: Tensor, colour, share: Tensor) -> Tensor:
    """`colour` laid over base [n, 3] by share [n]."""
    colour = torch.as_tensor(colour, dtype=base.dtype, device=base.device)
    return base + share[:, None] * (colour - base)


def face(point: Tensor, skin: Tensor, look: dict[str, Tensor], mouth: Tensor, footprint: Tensor) -> Tensor:
    """[n, 3] skin with blush, lips, teeth and tongue; point [n, 3] in the head's frame, mouth [n, 5]."""
    x, y, z = point.unbind(-1)
    shape = mouth_shape(mouth, look["mouth_width"], look["lip_fullness"])
    ahead = covered(0.1 - z, 0.1)
    cheek = ((x.abs() - look["eye_spacing"] - 0.09) / 0.11).square() + ((y + 0.16) / 0.085).square()
    colour = over(skin, _BLUSH, 0.55 * look["blush"] * (-cheek).exp() * ahead)

    bend = shape.smile * (x / shape.wide).square().clamp(max=1.6)
    v = y - shape.middle - bend
    inside = ellipse(x, v, shape.wide, shape.high)
    outside = ellipse(x, v, shape.wide + 0.8 * shape.lip, shape.high + shape.lip)
    # the lower lip catches the light
    lips = look["lips"] * (1.0 - 0.22 * (v / shape.high).clamp(-1, 1))[:, None]
    colour = over(colour, lips, covered(outside, footprint) * ahead)

    depth = (v / shape.high).clamp(-1, 1)
    tongue = ellipse(x, v + 0.8 * shape.high, 0.62 * shape.wide, 1e-3 + 0.95 * shape.high * mouth[:, 4])
    strip = torch.minimum(0.075 * mouth[:, 3], 1.5 * shape.high * mouth[:, 3])
    teeth = torch.maximum(shape.high - strip - v, x.abs() - 0.86 * shape.wide)
    hollow = over(
        torch.tensor(_CAVITY, device=x.device).expand_as(skin),
        _TONGUE,
        covered(tongue, footprint) * (mouth[:, 4] > 0),
    )
    hollow = over(hollow, _TEETH, covered(teeth, footprint) * (strip / footprint).clamp(0, 1))
    hollow = hollow * (0.85 - 0.15 * depth)[:, None]
    return over(colour, hollow, covered(inside, footprint) * ahead)


def eye(point: Tensor, white: Tensor, look: dict[str, Tensor], blink: Tensor, footprint: Tensor) -> Tensor:
    """[n, 3] of an eyeball; point [n, 3] on the unit ball, looking along +z; blink [n]."""
    x, y, z = point.unbind(-1)
    footprint = footprint / look["eye_size"]
    away = torch.hypot(x, y) + 2 * (z < 0)
    colour = over(white, look["iris"] * 0.45, covered(away - 0.62, footprint))
    colour = over(colour, look["iris"], covered(away - 0.53, footprint))
    colour = over(colour, _PUPIL, covered(away - 0.31, footprint))
    colour = over(
        colour, (1.0, 1.0, 1.0), covered(torch.hypot(x + 0.2, y - 0.24) - 0.15, footprint) * (z > 0)
    )
    edge = 0.66 - 1.5 * blink
    lid = look["skin"] * 0.82
    colour = over(colour, look["skin"] * 0.12, covered(edge - 0.09 - y, footprint))
    return over(colour, lid, covered(edge + 0.05 - y, footprint))


def _wave(x: Tensor, period: Tensor, share: float) -> Tensor:
    """Signed distance to bands that take `share` of every period, negative inside."""
    return ((x / period - (x / period).round()).abs() - share / 2) * period


def _pattern(x: Tensor, y: Tensor, period: Tensor, kind: Tensor) -> Tensor:
    """Signed distance to a pattern of the cloth, in the order of the parameter's choices."""
    row = (y / period).round()
    shifted = x / period + 0.5 * (row % 2)
    dots = torch.hypot(shifted - shifted.round(), y / period - row) * period - 0.27 * period
    hoops = _wave(y + 0.03, period, 0.46)
    pins = _wave(x, 0.8 * period, 0.36)
    plaid = torch.minimum(_wave(x, 1.1 * period, 0.3), _wave(y, 1.1 * period, 0.3))
    yoke = -0.92 - y
    kinds = torch.stack([torch.ones_like(x), hoops, pins, dots, plaid, yoke])
    return kinds.gather(0, kind[None])[0]


def _emblem(x: Tensor, y: Tensor, kind: Tensor) -> Tensor:
    """Signed distance to the chest emblem, in the order of the parameter's choices."""
    r, ax, ay = torch.hypot(x, y), x.abs(), y.abs()
    fifth = math.tau / 5
    angle = torch.atan2(x, y)
    angle = (angle - fifth * (angle / fifth).round()).abs()
    tip, notch = 0.215, 0.095
    nx, ny = notch * math.sin(fifth / 2), tip - notch * math.cos(fifth / 2)
    star = ((r * angle.cos() - tip) * nx + r * angle.sin() * ny) / math.hypot(nx, ny)
    lobe = torch.hypot(ax - 0.075, y - 0.055) - 0.098
    point = (ax + (y + 0.01).abs() - 0.165) * 0.7071
    heart = torch.minimum(lobe, torch.maximum(point, y - 0.06))
    diamond = (ax / 0.135 + ay / 0.185 - 1) * 0.1
    bars = torch.maximum(torch.maximum(ax, ay) - 0.165, torch.minimum(ax, ay) - 0.058)
    kinds = torch.stack([torch.ones_like(x), r - 0.16, (r - 0.125).abs() - 0.045, star, heart, diamond, bars])
    return kinds.gather(0, kind[None])[0]


def cloth(point: Tensor, look: dict[str, Tensor], footprint: Tensor) -> Tensor:
    """[n, 3] of a garment; point [n, 3] in the torso's frame."""
    x, y, z = point.unbind(-1)
    garment, pattern, emblem = look["kinds"].unbind(-1)
    up = y - EMBLEM_HEIGHT
    ahead = z > 0.12
    # the pattern leaves room for the emblem
    room = torch.where((emblem > 0) & ahead, 0.235 - torch.hypot(x, up), -1.0)
    drawn = torch.maximum(_pattern(x, y, look["pattern_scale"], pattern), room)
    colour = over(look["garment"], look["pattern"], covered(drawn, footprint))

    shirt = 0.35 + 0.65 * look["pattern"]
    bib = torch.minimum(
        torch.maximum(x.abs() - 0.31, y + 0.84), torch.maximum((x.abs() - 0.25).abs() - 0.06, -0.9 - y)
    )
    sides = torch.minimum(bib, y + 1.34)
    colour = over(colour, shirt, covered(-sides, footprint) * (garment == 4))

    vee = (x.abs() - 0.52 * (y + 0.99)) * 0.88
    front = ahead | (y > -0.75)
    colour = over(colour, look["pattern"], covered(vee - 0.05, footprint) * ((garment == 2) & front))
    colour = over(colour, look["skin"], covered(vee, footprint) * ((garment == 2) & front))

    seam = torch.where(ahead, x.abs() - 0.013, 1.0)
    colour = over(colour, 0.4 * look["garment"], covered(seam, footprint) * (garment == 5))
    spaced = up - 0.22 * (up / 0.22).round().clamp(-1, 1)
    buttons = torch.where(ahead, torch.hypot(x.abs() - 0.3, spaced) - 0.04, 1.0)
    colour = over(colour, shirt, covered(buttons, footprint) * (garment == 5))
    badge = torch.where(ahead, _emblem(x, up, emblem), 1.0)
    return over(colour, look["emblem"], covered(badge, footprint))


def room(origin: Tensor, direction: Tensor, paint: Tensor, waves: Tensor) -> tuple[Tensor, Tensor]:
    """Colour [n, 3] and inward normal [n, 3] of the room's wall or floor along rays [n, 3].

    paint [n, 5, 3]: three wall colours, two of the floor; waves [n, W, 4] as in `Decor`.
    """
    ox, oy, oz = origin.unbind(-1)
    dx, dy, dz = direction.unbind(-1)
    square, half = dx * dx + dz * dz, ox * dx + oz * dz
    root = (half * half - square * (ox * ox + oz * oz - WALL_RADIUS**2)).clamp(min=0).sqrt()
    wall = (root - half) / square
    floor = torch.where(dy < -1e-4, (FLOOR - oy) / dy, math.inf)
    low = floor < wall
    x, y, z = (o + torch.minimum(wall, floor) * d for o, d in ((ox, dx), (oy, dy), (oz, dz)))
    turn = torch.atan2(x, -z)
    swing = (waves[..., 0] * turn[:, None] + waves[..., 1] * y[:, None] + waves[..., 2]).sin()
    first = 0.5 + 0.5 * (swing * (1 - waves[..., 3])).sum(-1) / 1.7
    second = 0.5 + 0.5 * (swing * waves[..., 3]).sum(-1) / 1.4
    colour = over(paint[:, 0], paint[:, 1], _smooth(first))
    colour = over(colour, paint[:, 2], 0.75 * _smooth(second))
    rings = 0.5 + 0.5 * (2.2 * torch.hypot(x, z)).sin()
    ground = over(paint[:, 3], paint[:, 4], rings * covered(torch.hypot(x, z) - 5.5, torch.tensor(4.0)))
    # darker where wall and floor meet, as in any room
    colour = colour * (1 - 0.3 * (-(y - FLOOR) / 0.5).exp())[:, None]
    inward = torch.stack([-x / WALL_RADIUS, torch.zeros_like(x), -z / WALL_RADIUS], -1)
    upward = torch.tensor([0.0, 1.0, 0.0], device=x.device).expand_as(inward)
    return torch.where(low[:, None], ground, colour), torch.where(low[:, None], upward, inward)


def _smooth(x: Tensor) -> Tensor:
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)
