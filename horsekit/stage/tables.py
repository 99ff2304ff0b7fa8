"""Scenes as tensors: every solid of every frame placed in the world, and what shading needs to know of it.

F frames of all scenes together, C characters of all scenes, M solids of all frames.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from horsekit.stage.background import Background
from horsekit.stage.camera import CameraPath, camera_path, turn
from horsekit.stage.cast import Character
from horsekit.stage.light import GLOSS
from horsekit.stage.puppet import FACE, JAW_DROP, LOOKS, PIVOT, SKIN, linear, looks, parts
from horsekit.stage.scene import Scene
from horsekit.stage.solids import Rays, Solids, ball, lens

BONES = 3
_MARKER_GLOSS = (0.3, 26.0)


class Statics(NamedTuple):
    """Solids in their bones' frames, one row each: geometry as in `Solids`, bone [K], paint [K],
    colour [K, 3], gloss [K, 2] and whether the light's own gloss takes its place [K]."""

    inverse: Tensor
    matrix: Tensor
    shape: Tensor
    span: Tensor
    reach: Tensor
    bone: Tensor
    paint: Tensor
    colour: Tensor
    gloss: Tensor
    skin: Tensor


def _statics(quadrics, bone, paint, colour, gloss) -> Statics:
    matrix = torch.tensor([q.matrix for q in quadrics])
    turned = torch.linalg.inv(matrix[..., :3])
    paint = torch.tensor(paint)
    return Statics(
        torch.cat([turned, -turned @ matrix[..., 3:]], -1),
        matrix,
        torch.tensor([q.shape for q in quadrics]),
        torch.tensor([q.span for q in quadrics]),
        torch.tensor([q.reach for q in quadrics]),
        torch.tensor(bone),
        paint,
        torch.tensor(colour),
        torch.tensor(gloss),
        (paint == FACE) | (paint == SKIN),
    )


@lru_cache(maxsize=512)
def _cast_statics(character: Character) -> Statics:
    quadrics, bone, colour, paint, gloss = zip(*parts(character), strict=True)
    return _statics(quadrics, bone, paint, colour, gloss)


@lru_cache(maxsize=512)
def _room_statics(background: Background) -> Statics:
    markers = background.markers
    quadrics = [ball(tuple(p), (r,) * 3) for p, r in zip(*(m.tolist() for m in markers[:2]), strict=True)]
    count = len(quadrics)
    colour = [linear(tuple(c)) for c in markers.colour.tolist()]
    return _statics(quadrics, [0] * count, [0] * count, colour, [_MARKER_GLOSS] * count)


@dataclass(frozen=True, eq=False)
class Tables:
    """A batch of scenes on the rendering device; what samples look up is stored column by column.

    Per solid: solids, rays, frame [M]; tags [3, M] paint, person (column of the person tables, −1 for the
    room), bone; surfaces [19, M] world-to-local rows, a, b / 2, colour, gloss and its exponent.
    Per frame: path (float64, as `camera_path`), position [F, 3], lens [F, 3, 3], shots [20, F] (position,
    lens columns, towards the key, key, fill, focal), decor [15, F], waves [W · 3, F].
    Per person, a character in one frame: pose [N, BONES, 3, 4] bone to world, poses the same as
    [BONES · 12, N], mouth [5, N], blink [N], who [N] (row of looks), slot [N] its number in the scene,
    home [N] its frame. Per character: looks [L, C], kinds [3, C].
    """

    solids: Solids
    rays: Rays
    frame: Tensor
    tags: Tensor
    surfaces: Tensor
    path: CameraPath
    position: Tensor
    lens: Tensor
    shots: Tensor
    decor: Tensor
    waves: Tensor
    pose: Tensor
    poses: Tensor
    mouth: Tensor
    blink: Tensor
    who: Tensor
    slot: Tensor
    home: Tensor
    looks: Tensor
    kinds: Tensor

    def look(self, person: Tensor) -> dict[str, Tensor]:
        """Numbers [n], colours [3, n] and kinds [3, n] of persons [n], by name."""
        who = self.who.index_select(0, person)
        numbers = self.looks.index_select(1, who)
        named = {"kinds": self.kinds.index_select(1, who)}
        for i, name in enumerate(LOOKS):
            stem, _, letter = name.rpartition("_")
            if letter == "r":
                named[stem] = numbers[i : i + 3]
            elif letter not in ("g", "b"):
                named[name] = numbers[i]
        return named

    def bones(self, person: Tensor, bone: int) -> Tensor:
        """[3, 4, n] bone to world of persons [n]."""
        return self.poses[12 * bone : 12 * bone + 12].index_select(1, person).unflatten(0, (3, 4))


def bone_poses(scene: Scene, mouth: Tensor) -> Tensor:
    """[F, C, BONES, 3, 4] bone to world of torso, head and jaw; mouth [C, F, 5]."""
    facing = torch.tensor([p.facing for p in scene.placements])
    still = torch.zeros_like(facing)
    body = turn(facing, still, still)[:, None]
    head = body @ turn(*scene.head_pose.unbind(-1))
    body = body.expand_as(head)
    home = torch.tensor([p.position for p in scene.placements])[:, None]
    pivot = torch.tensor(PIVOT)
    neck = home + body @ pivot
    skull = neck - head @ pivot
    drop = torch.zeros_like(skull)
    drop[..., 1] = -JAW_DROP * mouth[..., 0]
    jaw = skull + (head @ drop[..., None])[..., 0]
    places = [home.expand_as(skull), skull, jaw]
    poses = [torch.cat([r, p[..., None]], -1) for r, p in zip((body, head, head), places, strict=True)]
    return torch.stack(poses, 2).transpose(0, 1)


def tabulate(scenes: list[Scene], mouths: list[Tensor], device: torch.device | str) -> Tables:
    """The tables of scenes and their mouths, each [characters, frames, 5]."""
    columns: dict[str, list[Tensor]] = {}

    def put(**values: Tensor) -> None:
        for name, value in values.items():
            columns.setdefault(name, []).append(value)

    paths, frames, people, cast = [], 0, 0, 0
    for scene, mouth in zip(scenes, mouths, strict=True):
        count, length = len(scene.characters), scene.frames
        mouth = mouth.detach().to("cpu", torch.float32).clamp(0, 1)
        path = camera_path(scene.camera, length)
        paths.append(path)
        poses = bone_poses(scene, mouth)
        still = torch.eye(3, 4).expand(length, 1, 3, 4)
        bones = torch.cat([still, poses.flatten(1, 2)], 1)
        sets = [_room_statics(scene.background), *map(_cast_statics, scene.characters)]
        owner = torch.cat([torch.full((len(s.bone),), i - 1) for i, s in enumerate(sets)])
        fixed = Statics(*(torch.cat(column) for column in zip(*sets, strict=True)))
        index = torch.where(owner < 0, 0, 1 + BONES * owner + fixed.bone)
        pose = bones[:, index]
        turned = fixed.inverse[..., :3] @ pose[..., :3].mT
        shift = fixed.inverse[..., 3] - (turned @ pose[..., 3:])[..., 0]
        matrix = pose[..., :3] @ fixed.matrix
        matrix[..., 3] += pose[..., 3]
        gloss = torch.where(fixed.skin[:, None], torch.tensor(GLOSS[scene.light.gloss]), fixed.gloss)
        number = torch.arange(length)[:, None]

        def rows(values: Tensor, length: int = length) -> Tensor:
            return values.expand(length, *values.shape).flatten(0, 1)

        inverse = torch.cat([turned, shift[..., None]], -1).flatten(0, 1)
        tags = torch.stack(
            [
                rows(fixed.paint),
                torch.where(owner < 0, -1, people + number * count + owner).flatten(),
                rows(torch.where(owner < 0, -1, fixed.bone)),
            ]
        )
        surface = [inverse.flatten(1), rows(fixed.shape[:, :1]), 0.5 * rows(fixed.shape[:, 1:2])]
        light = torch.tensor([*scene.light.toward, *scene.light.key, scene.light.fill]).expand(length, 7)
        glass = lens(path.rotation, path.focal).float()
        shot = [path.position.float(), glass.mT.flatten(1), light, path.focal.float()[:, None]]
        put(
            inverse=inverse,
            matrix=matrix.flatten(0, 1),
            shape=rows(fixed.shape),
            span=rows(fixed.span),
            reach=rows(fixed.reach),
            frame=(frames + number).expand(-1, len(owner)).flatten(),
            tags=tags.T,
            surfaces=torch.cat([*surface, rows(fixed.colour), rows(gloss)], -1),
            position=path.position.float(),
            lens=glass,
            shots=torch.cat(shot, -1),
            decor=_decor(scene.background).expand(length, -1),
            waves=scene.background.decor.waves.flatten().expand(length, -1),
            pose=poses.flatten(0, 1),
            poses=poses.flatten(0, 1).flatten(1),
            mouth=mouth.transpose(0, 1).flatten(0, 1),
            blink=scene.blink.to(torch.float32).T.flatten(),
            who=(cast + torch.arange(count)).expand(length, count).flatten(),
            slot=torch.arange(count).repeat(length),
            home=(frames + number).expand(length, count).flatten(),
            looks=torch.stack([looks(c).numbers for c in scene.characters]),
            kinds=torch.stack([looks(c).kinds for c in scene.characters]),
        )
        frames, people, cast = frames + length, people + length * count, cast + count
    made = {name: torch.cat(values) for name, values in columns.items()}
    for name in ("tags", "surfaces", "shots", "decor", "waves", "poses", "mouth", "looks", "kinds"):
        made[name] = made[name].T.contiguous()
    made = {name: value.to(device) for name, value in made.items()}
    path = CameraPath(*(torch.cat(column) for column in zip(*paths, strict=True)))
    solids = Solids(*(made.pop(name) for name in Solids._fields))
    rays = Rays(made["position"][made["frame"]], made["lens"][made["frame"]])
    return Tables(solids, rays, path=path, **made)


@lru_cache(maxsize=512)
def _decor(background: Background) -> Tensor:
    """[15] linear paint of wall and floor."""
    paint = torch.cat([background.decor.wall, background.decor.floor])
    return torch.tensor([linear(tuple(c)) for c in paint.tolist()]).flatten()
