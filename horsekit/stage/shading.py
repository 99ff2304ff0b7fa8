"""Shading: what colour every sample of the picture is, in linear light.

n samples.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from horsekit.stage import paint
from horsekit.stage.puppet import CLOTH, EYE, FACE, HEAD, JAW_CENTRE, JAW_DROP, SKULL_CENTRE, TORSO
from horsekit.stage.tables import Tables

# how far the key's light wraps round a form, which keeps its shadow line soft
_WRAP = 0.18
_OCCLUDER = 0.5


def shade(
    tables: Tables, frame: Tensor, u: Tensor, v: Tensor, depth: Tensor, owner: Tensor, spacing: float
) -> Tensor:
    """Linear RGB [n, 3] of samples at (u, v) [n] of frames [n].

    depth and owner [n] from `solids.nearest` (owner −1: the room); spacing: distance of samples in u.
    """
    lens, position = tables.lens[frame], tables.position[frame]
    direction = lens[:, :, 0] * u[:, None] + lens[:, :, 1] * v[:, None] + lens[:, :, 2]
    light = tables.light[frame]
    colour = torch.empty_like(direction)
    away = (owner < 0).nonzero()[:, 0]
    colour[away] = _room(tables, frame[away], position[away], direction[away], light[away])
    near = (owner >= 0).nonzero()[:, 0]
    footprint = depth[near] * spacing / tables.focal[frame[near]]
    point = position[near] + depth[near, None] * direction[near]
    colour[near] = _solid(
        tables, owner[near], point, normalize(-direction[near], dim=-1), light[near], footprint
    )
    return colour


def _room(tables: Tables, frame: Tensor, origin: Tensor, direction: Tensor, light: Tensor) -> Tensor:
    """The room is lit by the same key, softly, so that the light tells on every pixel."""
    albedo, normal = paint.room(origin, direction, tables.decor[frame], tables.waves[frame])
    toward, key, fill = light[:, :3], light[:, 3:6], light[:, 6:]
    facing = 0.62 + 0.38 * (normal * toward).sum(-1, keepdim=True)
    return albedo * (0.2 + 0.75 * (key * facing + fill * 0.9))


def _solid(
    tables: Tables, owner: Tensor, point: Tensor, view: Tensor, light: Tensor, footprint: Tensor
) -> Tensor:
    inverse, shape = tables.solids.inverse[owner], tables.solids.shape[owner]
    local = (inverse[..., :3] * point[:, None, :]).sum(-1) + inverse[..., 3]
    gradient = torch.stack([local[:, 0], shape[:, 0] * local[:, 1] + 0.5 * shape[:, 1], local[:, 2]], -1)
    normal = (inverse[..., :3] * gradient[:, :, None]).sum(1)
    albedo, kind, person = tables.colour[owner], tables.paint[owner], tables.person[owner]
    bone = tables.bone[owner]

    faces = (kind == FACE).nonzero()[:, 0]
    if len(faces):
        albedo[faces], normal[faces] = _face(
            tables, person[faces], point[faces], albedo[faces], view[faces], footprint[faces]
        )
    normal = normalize(normal, dim=-1)
    facing = (normal * view).sum(-1, keepdim=True)
    normal = torch.where(facing < 0, -normal, normal)
    facing = facing.abs()
    stretched = footprint / facing[:, 0].clamp(min=0.3)
    eyes = (kind == EYE).nonzero()[:, 0]
    if len(eyes):
        who = person[eyes]
        look = tables.look(tables.who[who])
        albedo[eyes] = paint.eye(local[eyes], albedo[eyes], look, tables.blink[who], footprint[eyes])
    clothes = (kind == CLOTH).nonzero()[:, 0]
    if len(clothes):
        who = person[clothes]
        place = _in_bone(tables.pose[who, TORSO], point[clothes])
        albedo[clothes] = paint.cloth(place, tables.look(tables.who[who]), stretched[clothes])
    shadow = torch.ones_like(footprint)
    bodies = (bone == TORSO).nonzero()[:, 0]
    if len(bodies):
        shadow[bodies] = _under_head(tables, person[bodies], point[bodies], normal[bodies])
    return _lit(albedo, normal, view, facing, light, tables.gloss[owner], shadow[:, None])


def _face(
    tables: Tables, person: Tensor, point: Tensor, skin: Tensor, view: Tensor, footprint: Tensor
) -> tuple[Tensor, Tensor]:
    """Painted skin and a normal that runs smoothly from skull to jaw."""
    pose = tables.pose[person, HEAD]
    place = _in_bone(pose, point)
    look, mouth = tables.look(tables.who[person]), tables.mouth[person]
    normal = torch.zeros_like(place)
    for name, centre in (("skull", SKULL_CENTRE), ("jaw", JAW_CENTRE)):
        radii = torch.stack([look[f"{name}_{axis}"] for axis in "xyz"], -1)
        offset = place - torch.tensor(centre, device=place.device)
        if name == "jaw":
            offset = offset + torch.stack([mouth[:, 0] * 0, JAW_DROP * mouth[:, 0], mouth[:, 0] * 0], -1)
        slope = offset / radii.square()
        outside = (offset * slope).sum(-1, keepdim=True) - 1
        normal = normal + normalize(slope, dim=-1) * (-7 * outside.clamp(min=0)).exp()
    facing = (normalize((pose[..., :3] * normal[:, None, :]).sum(-1), dim=-1) * view).sum(-1).abs()
    colour = paint.face(place, skin, look, mouth, footprint / facing.clamp(min=0.3))
    return colour, (pose[..., :3] * normal[:, None, :]).sum(-1)


def _in_bone(pose: Tensor, point: Tensor) -> Tensor:
    """World points [n, 3] in the frame of bones [n, 3, 4]."""
    return (pose[..., :3] * (point - pose[..., 3])[:, :, None]).sum(1)


def _under_head(tables: Tables, person: Tensor, point: Tensor, normal: Tensor) -> Tensor:
    """Share of the light that the head lets through to the body: a ball's ambient occlusion."""
    across = tables.pose[person, HEAD][..., 3] - point
    square = across.square().sum(-1)
    towards = ((normal * across).sum(-1) / square.sqrt()).clamp(min=0)
    return 1 - 0.8 * towards * (_OCCLUDER**2 / square).clamp(max=1)


def _lit(
    albedo: Tensor, normal: Tensor, view: Tensor, facing: Tensor, light: Tensor, gloss: Tensor, shadow: Tensor
) -> Tensor:
    """Lambert key, hemispherical fill, a faint rim, and a Blinn highlight; everything [n, …]."""
    toward, key, fill = light[:, :3], light[:, 3:6], light[:, 6:]
    towards = (normal * toward).sum(-1, keepdim=True)
    diffuse = ((towards + _WRAP) / (1 + _WRAP)).clamp(min=0)
    ambient = fill * (0.8 + 0.2 * normal[:, 1:2])
    rim = 0.35 * fill * (1 - facing).pow(3)
    halfway = (normal * normalize(toward + view, dim=-1)).sum(-1, keepdim=True).clamp(min=0)
    shine = gloss[:, :1] * halfway.pow(gloss[:, 1:]) * (towards * 4).clamp(0, 1)
    return shadow * (albedo * (1.08 * key * diffuse + ambient + rim) + key * shine)
