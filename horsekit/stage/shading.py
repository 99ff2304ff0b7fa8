"""Shading: what colour every sample of the picture is, in linear light.

n samples; vectors and colours are [3, n], matrices [rows, columns, n].
"""

from typing import NamedTuple

import torch
from torch import Tensor

from horsekit.stage import paint
from horsekit.stage.puppet import CLOTH, EYE, FACE, HEAD, JAW_CENTRE, JAW_DROP, SKULL_CENTRE, TORSO
from horsekit.stage.tables import Tables

# how far the key's light wraps round a form, which keeps its shadow line soft
_WRAP = 0.18
_OCCLUDER = 0.5


class Samples(NamedTuple):
    """Points of pictures, each [n]: frame, place (u, v), depth, and owner (a solid, or −1 for the room)."""

    frame: Tensor
    u: Tensor
    v: Tensor
    depth: Tensor
    owner: Tensor

    def at(self, index: Tensor) -> "Samples":
        return Samples(*(x.index_select(0, index) for x in self))


def shade(tables: Tables, samples: Samples, spacing: float) -> Tensor:
    """Linear RGB [3, n] of samples that lie `spacing` apart in u."""
    colour = torch.empty(3, len(samples.u), device=samples.u.device)
    for mask, paints in ((samples.owner < 0, _room), (samples.owner >= 0, _solid)):
        index = mask.nonzero()[:, 0]
        if len(index):
            colour.index_copy_(1, index, paints(tables, samples.at(index), spacing))
    return colour


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _unit(a: Tensor) -> Tensor:
    return a * _dot(a, a).clamp_(min=1e-12).rsqrt_()


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    return matrix[:, 0] * vector[0] + matrix[:, 1] * vector[1] + matrix[:, 2] * vector[2]


def _transposed_times(matrix: Tensor, vector: Tensor) -> Tensor:
    return matrix[0] * vector[0] + matrix[1] * vector[1] + matrix[2] * vector[2]


class _Shot(NamedTuple):
    """The camera and light of every sample; direction has unit depth, spread is a footprint at unit depth."""

    position: Tensor
    direction: Tensor
    toward: Tensor
    key: Tensor
    fill: Tensor
    spread: Tensor


def _shot(tables: Tables, samples: Samples, spacing: float) -> _Shot:
    row = tables.shots.index_select(1, samples.frame)
    direction = row[3:6] * samples.u + row[6:9] * samples.v + row[9:12]
    return _Shot(row[:3], direction, row[12:15], row[15:18], row[18], spacing / row[19])


def _room(tables: Tables, samples: Samples, spacing: float) -> Tensor:
    """The room is lit by the same key, softly, so that the light tells on every pixel."""
    shot = _shot(tables, samples, spacing)
    decor = tables.decor.index_select(1, samples.frame).unflatten(0, (-1, 3))
    waves = tables.waves.index_select(1, samples.frame).unflatten(0, (-1, 3))
    albedo, normal = paint.room(shot.position, shot.direction, decor, waves, shot.spread)
    facing = 0.62 + 0.38 * _dot(normal, shot.toward)
    return albedo * (0.2 + 0.75 * (shot.key * facing + shot.fill * 0.9))


def _solid(tables: Tables, samples: Samples, spacing: float) -> Tensor:
    shot = _shot(tables, samples, spacing)
    point = shot.position + samples.depth * shot.direction
    view = -_unit(shot.direction)
    footprint = samples.depth * shot.spread
    row = tables.surfaces.index_select(1, samples.owner)
    inverse = row[:12].unflatten(0, (3, 4))
    local = _times(inverse, point) + inverse[:, 3]
    gradient = torch.stack([local[0], row[12] * local[1] + row[13], local[2]])
    normal = _transposed_times(inverse[:, :3], gradient)
    albedo = row[14:17].clone()
    kind, person, bone = tables.tags.index_select(1, samples.owner)

    faces = (kind == FACE).nonzero()[:, 0]
    if len(faces):
        some = (x.index_select(-1, faces) for x in (person, point, albedo, view, footprint))
        colour, bent = _face(tables, *some)
        albedo.index_copy_(1, faces, colour)
        normal.index_copy_(1, faces, bent)
    normal = _unit(normal)
    facing = _dot(normal, view)
    normal = normal * facing.sign()
    facing = facing.abs()
    eyes = (kind == EYE).nonzero()[:, 0]
    if len(eyes):
        who, place, white, foot = (x.index_select(-1, eyes) for x in (person, local, albedo, footprint))
        colour = paint.eye(place, white, tables.look(who), tables.blink.index_select(0, who), foot)
        albedo.index_copy_(1, eyes, colour)
    clothes = (kind == CLOTH).nonzero()[:, 0]
    if len(clothes):
        stretched = footprint / facing.clamp(min=0.3)
        who, place, foot = (x.index_select(-1, clothes) for x in (person, point, stretched))
        place = _in_bone(tables.bones(who, TORSO), place)
        albedo.index_copy_(1, clothes, paint.cloth(place, tables.look(who), foot))
    shadow = torch.ones_like(footprint)
    bodies = (bone == TORSO).nonzero()[:, 0]
    if len(bodies):
        some = (x.index_select(-1, bodies) for x in (person, point, normal))
        shadow.index_copy_(0, bodies, _under_head(tables, *some))
    return _lit(albedo, normal, view, facing, shot, row[17], row[18], shadow)


def _face(
    tables: Tables, person: Tensor, point: Tensor, skin: Tensor, view: Tensor, footprint: Tensor
) -> tuple[Tensor, Tensor]:
    """Painted skin and a normal that runs smoothly from skull to jaw."""
    pose = tables.bones(person, HEAD)
    place = _in_bone(pose, point)
    look, mouth = tables.look(person), tables.mouth.index_select(1, person)
    normal = torch.zeros_like(place)
    for name, (cx, cy, cz) in (("skull", SKULL_CENTRE), ("jaw", JAW_CENTRE)):
        radii = torch.stack([look[f"{name}_{axis}"] for axis in "xyz"])
        drop = JAW_DROP * mouth[0] if name == "jaw" else 0.0
        offset = torch.stack([place[0] - cx, place[1] - cy + drop, place[2] - cz])
        slope = offset / radii.square()
        outside = _dot(offset, slope) - 1
        normal = normal + _unit(slope) * (-7 * outside.clamp_(min=0)).exp_()
    normal = _times(pose, normal)
    facing = _dot(_unit(normal), view).abs()
    return paint.face(place, skin, look, mouth, footprint / facing.clamp_(min=0.3)), normal


def _in_bone(pose: Tensor, point: Tensor) -> Tensor:
    """World points [3, n] in the frame of bones [3, 4, n]."""
    return _transposed_times(pose[:, :3], point - pose[:, 3])


def _under_head(tables: Tables, person: Tensor, point: Tensor, normal: Tensor) -> Tensor:
    """Share of the light that the head lets through to the body: a ball's ambient occlusion."""
    across = tables.bones(person, HEAD)[:, 3] - point
    square = _dot(across, across)
    towards = (_dot(normal, across) * square.rsqrt()).clamp_(min=0)
    return 1 - 0.8 * towards * (_OCCLUDER**2 / square).clamp_(max=1)


def _lit(
    albedo: Tensor,
    normal: Tensor,
    view: Tensor,
    facing: Tensor,
    shot: _Shot,
    gloss: Tensor,
    exponent: Tensor,
    shadow: Tensor,
) -> Tensor:
    """Lambert key, hemispherical fill, a faint rim, and a Blinn highlight."""
    towards = _dot(normal, shot.toward)
    diffuse = ((towards + _WRAP) * (1.15 / (1 + _WRAP))).clamp_(min=0)
    ambient = shot.fill * (0.88 + 0.24 * normal[1] + 0.35 * (1 - facing).pow_(3))
    halfway = _dot(normal, _unit(shot.toward + view)).clamp_(min=0)
    shine = gloss * halfway.pow_(exponent) * (towards * 4).clamp_(0, 1)
    return shadow * (albedo * (shot.key * diffuse + ambient) + shot.key * shine)
