"""What is painted on the solids: faces, eyes, cloth with its pattern and emblem, and the room itself.

n samples; vectors and colours are [3, n]. Every edge is a signed distance turned into a share of the
sample's footprint, so that no pattern is sharper than the picture. All colours are linear light.
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


Look = dict[str, Tensor]


def covered(distance: Tensor, footprint: Tensor) -> Tensor:
    """Share of a footprint inside an edge: 1 where distance ≪ 0, 0 where ≫ 0."""
    return (0.5 - distance / footprint).clamp_(0, 1)


def over(base: Tensor, colour: Tensor, share: Tensor) -> Tensor:
    """Colour [3, n] or [3, 1] laid over base [3, n] by share [n]."""
    return torch.lerp(base, colour.expand_as(base), share.expand_as(base))


def _tint(colour: tuple[float, float, float], like: Tensor) -> Tensor:
    return torch.tensor(colour, dtype=like.dtype, device=like.device)[:, None]


def _length(x: Tensor, y: Tensor) -> Tensor:
    return (x * x + y * y).sqrt_()


def face(point: Tensor, skin: Tensor, look: Look, mouth: Tensor, footprint: Tensor) -> Tensor:
    """[3, n] skin with blush, lips, teeth and tongue; point [3, n] in the head's frame, mouth [5, n]."""
    x, y, z = point
    ahead = (z * 10).clamp_(0, 1)
    cheek = ((x.abs() - look["eye_spacing"] - 0.09) / 0.11).square() + ((y + 0.16) / 0.085).square()
    colour = over(skin, _tint(_BLUSH, x), 0.55 * look["blush"] * (-cheek).exp() * ahead)
    # the mouth is worked out only where it may be
    place = ((y < 0.0) & (z > 0)).nonzero()[:, 0]
    some, tint, mouth, foot, ahead = (
        t.index_select(-1, place) for t in (point, colour, mouth, footprint, ahead)
    )
    look = {name: value.index_select(-1, place) for name, value in look.items()}
    painted = _mouth(some, tint, look, mouth, foot, ahead)
    return colour.index_copy_(1, place, painted)


def _mouth(
    point: Tensor, skin: Tensor, look: Look, mouth: Tensor, footprint: Tensor, ahead: Tensor
) -> Tensor:
    x, y, _ = point
    shape = mouth_shape(mouth, look["mouth_width"], look["lip_fullness"])
    v = y - shape.middle - shape.smile * (x / shape.wide).square().clamp_(max=1.6)
    inside = ellipse(x, v, shape.wide, shape.high)
    outside = ellipse(x, v, shape.wide + 0.8 * shape.lip, shape.high + shape.lip)
    depth = (v / shape.high).clamp_(-1, 1)
    # the lower lip catches the light
    colour = over(skin, look["lips"] * (1.0 - 0.22 * depth), covered(outside, footprint) * ahead)

    tongue = ellipse(x, v + 0.8 * shape.high, 0.62 * shape.wide, 1e-3 + 0.95 * shape.high * mouth[4])
    strip = torch.minimum(0.075 * mouth[3], 1.5 * shape.high * mouth[3])
    teeth = torch.maximum(shape.high - strip - v, x.abs() - 0.86 * shape.wide)
    hollow = over(
        _tint(_CAVITY, x).expand_as(skin), _tint(_TONGUE, x), covered(tongue, footprint) * (mouth[4] > 0)
    )
    hollow = over(hollow, _tint(_TEETH, x), covered(teeth, footprint) * (strip / footprint).clamp_(0, 1))
    return over(colour, hollow * (0.85 - 0.15 * depth), covered(inside, footprint) * ahead)


def eye(point: Tensor, white: Tensor, look: Look, blink: Tensor, footprint: Tensor) -> Tensor:
    """[3, n] of an eyeball; point [3, n] on the unit ball, looking along +z; blink [n]."""
    x, y, z = point
    footprint = footprint / look["eye_size"]
    away = _length(x, y) + 2 * (z < 0)
    colour = over(white, look["iris"] * 0.45, covered(away - 0.62, footprint))
    colour = over(colour, look["iris"], covered(away - 0.53, footprint))
    colour = over(colour, _tint(_PUPIL, x), covered(away - 0.31, footprint))
    glint = covered(_length(x + 0.2, y - 0.24) - 0.15, footprint) * (z > 0)
    colour = over(colour, _tint((1.0, 1.0, 1.0), x), glint)
    edge = 0.66 - 1.5 * blink
    colour = over(colour, look["skin"] * 0.12, covered(edge - 0.09 - y, footprint))
    return over(colour, look["skin"] * 0.82, covered(edge + 0.05 - y, footprint))


def _wave(x: Tensor, period: Tensor, share: float) -> Tensor:
    """Signed distance to bands that take `share` of every period, negative inside."""
    turns = x / period
    return ((turns - turns.round()).abs() - share / 2) * period


def _pattern(x: Tensor, y: Tensor, period: Tensor, kind: Tensor) -> Tensor:
    """Signed distance to a pattern of the cloth, in the order of the parameter's choices."""
    row = (y / period).round()
    shifted = x / period + 0.5 * (row % 2)
    dots = _length(shifted - shifted.round(), y / period - row) * period - 0.27 * period
    hoops = _wave(y + 0.03, period, 0.46)
    pins = _wave(x, 0.8 * period, 0.36)
    plaid = torch.minimum(_wave(x, 1.1 * period, 0.3), _wave(y, 1.1 * period, 0.3))
    yoke = -0.92 - y
    kinds = torch.stack([torch.ones_like(x), hoops, pins, dots, plaid, yoke])
    return kinds.gather(0, kind[None])[0]


def _emblem(x: Tensor, y: Tensor, kind: Tensor) -> Tensor:
    """Signed distance to the chest emblem, in the order of the parameter's choices."""
    r, ax, ay = _length(x, y), x.abs(), y.abs()
    fifth = math.tau / 5
    angle = torch.atan2(x, y)
    angle = (angle - fifth * (angle / fifth).round()).abs()
    tip, notch = 0.215, 0.095
    nx, ny = notch * math.sin(fifth / 2), tip - notch * math.cos(fifth / 2)
    star = ((r * angle.cos() - tip) * nx + r * angle.sin() * ny) / math.hypot(nx, ny)
    lobe = _length(ax - 0.075, y - 0.055) - 0.098
    point = (ax + (y + 0.01).abs() - 0.165) * 0.7071
    heart = torch.minimum(lobe, torch.maximum(point, y - 0.06))
    diamond = (ax / 0.135 + ay / 0.185 - 1) * 0.1
    bars = torch.maximum(torch.maximum(ax, ay) - 0.165, torch.minimum(ax, ay) - 0.058)
    kinds = torch.stack([torch.ones_like(x), r - 0.16, (r - 0.125).abs() - 0.045, star, heart, diamond, bars])
    return kinds.gather(0, kind[None])[0]


def cloth(point: Tensor, look: Look, footprint: Tensor) -> Tensor:
    """[3, n] of a garment; point [3, n] in the torso's frame."""
    x, y, z = point
    garment, pattern, emblem = look["kinds"]
    up = y - EMBLEM_HEIGHT
    ahead = z > 0.12
    # the pattern leaves room for the emblem
    room = torch.where((emblem > 0) & ahead, 0.235 - _length(x, up), -1.0)
    drawn = torch.maximum(_pattern(x, y, look["pattern_scale"], pattern), room)
    colour = over(look["garment"], look["pattern"], covered(drawn, footprint))
    for kind, cut in ((2, _vee_neck), (4, _dungarees), (5, _coat)):
        worn = (garment == kind).nonzero()[:, 0]
        if len(worn):
            some, tint, foot = (t.index_select(-1, worn) for t in (point, colour, footprint))
            chosen = {name: value.index_select(-1, worn) for name, value in look.items()}
            colour.index_copy_(1, worn, cut(some, tint, chosen, foot))
    chest = (ahead & (up.abs() < 0.26) & (x.abs() < 0.26)).nonzero()[:, 0]
    near, over_x, kind, foot = (t.index_select(-1, chest) for t in (up, x, emblem, footprint))
    badge = covered(_emblem(over_x, near, kind), foot)
    tint = over(colour.index_select(1, chest), look["emblem"].index_select(1, chest), badge)
    return colour.index_copy_(1, chest, tint)


def _vee_neck(point: Tensor, colour: Tensor, look: Look, footprint: Tensor) -> Tensor:
    x, y, z = point
    vee = (x.abs() - 0.52 * (y + 0.99)) * 0.88
    front = (z > 0.12) | (y > -0.75)
    colour = over(colour, look["pattern"], covered(vee - 0.05, footprint) * front)
    return over(colour, look["skin"], covered(vee, footprint) * front)


def _dungarees(point: Tensor, colour: Tensor, look: Look, footprint: Tensor) -> Tensor:
    x, y, _ = point
    bib = torch.maximum(x.abs() - 0.31, y + 0.84)
    straps = torch.maximum((x.abs() - 0.25).abs() - 0.06, -0.9 - y)
    outside = torch.minimum(torch.minimum(bib, straps), y + 1.34)
    return over(colour, 0.35 + 0.65 * look["pattern"], covered(-outside, footprint))


def _coat(point: Tensor, colour: Tensor, look: Look, footprint: Tensor) -> Tensor:
    x, y, z = point
    colour = over(colour, 0.4 * look["garment"], covered(x.abs() - 0.013, footprint) * (z > 0.12))
    up = y - EMBLEM_HEIGHT
    spaced = up - 0.22 * (up / 0.22).round().clamp_(-1, 1)
    buttons = covered(_length(x.abs() - 0.3, spaced) - 0.04, footprint) * (z > 0.12)
    return over(colour, 0.35 + 0.65 * look["pattern"], buttons)


def room(
    origin: Tensor, direction: Tensor, decor: Tensor, waves: Tensor, spread: Tensor
) -> tuple[Tensor, Tensor]:
    """Colour and inward normal [3, n] of the room's wall or floor along rays [3, n].

    decor [5, 3, n]: three wall colours, two of the floor; waves [W, 3, n] as in `Decor`;
    spread [n]: footprint at unit depth.
    """
    ox, oy, oz = origin
    dx, dy, dz = direction
    square, half = dx * dx + dz * dz, ox * dx + oz * dz
    root = (half * half - square * (ox * ox + oz * oz - WALL_RADIUS**2)).clamp_(min=0).sqrt_()
    wall = (root - half) / square
    # above the horizon the floor is never met
    floor = (FLOOR - oy) / dy.clamp(max=-1e-4)
    ground = covered(oy + wall * dy - FLOOR, wall * spread)
    x, y, z = origin + torch.minimum(wall, floor) * direction
    turn = torch.atan2(x, -z)
    fields = [0.5, 0.5]
    for i, (turns, rise, phase) in enumerate(waves):
        fields[i % 2] = fields[i % 2] + 0.2 * (turns * turn + rise * y + phase).sin_()
    colour = over(decor[0], decor[1], _smooth(fields[0]))
    colour = over(colour, decor[2], 0.75 * _smooth(fields[1]))
    away = _length(x, z)
    rings = (0.5 + 0.5 * (2.2 * away).sin_()) * ((7.5 - away) / 4).clamp_(0, 1)
    # darker where wall and floor meet, as in any room
    colour = over(colour * (1 - 0.3 * (2 * (FLOOR - y)).exp_()), over(decor[3], decor[4], rings), ground)
    inward = torch.stack([x * (ground - 1) / WALL_RADIUS, ground, z * (ground - 1) / WALL_RADIUS])
    return colour, inward


def _smooth(x: Tensor) -> Tensor:
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)
