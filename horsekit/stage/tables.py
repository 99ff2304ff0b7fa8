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


@lru_cache(maxsize=4096)
def _cast_statics(character: Character) -> Statics:
    quadrics, bone, colour, paint, gloss = zip(*parts(character), strict=True)
    return _statics(quadrics, bone, paint, colour, gloss)


@lru_cache(maxsize=4096)
def _room_statics(background: Background) -> Statics:
    markers = background.markers
    quadrics = [ball(tuple(p), (r,) * 3) for p, r in zip(*(m.tolist() for m in markers[:2]), strict=True)]
    count = len(quadrics)
    colour = [linear(tuple(c)) for c in markers.colour.tolist()]
    return _statics(quadrics, [0] * count, [0] * count, colour, [_MARKER_GLOSS] * count)


@dataclass(frozen=True, eq=False)
class Tables:
    """A batch of scenes on the rendering device.

    Per solid: solids, rays, frame [M], person [M] (row of the person tables, −1 for the room), bone [M],
    paint [M], colour [M, 3], gloss [M, 2]. Per frame: path (float64, as `camera_path`), position [F, 3],
    lens [F, 3, 3], focal [F], light [F, 7] (towards the key, key RGB, fill), decor [F, 5, 3],
    waves [F, W, 4]. Per person, a character in one frame: pose [N, BONES, 3, 4] bone to world,
    mouth [N, 5], blink [N], who [N], slot [N] its number in the scene, home [N] its
    frame; per character: looks [C, L], kinds [C, 3].
    """

    solids: Solids
    rays: Rays
    frame: Tensor
    person: Tensor
    bone: Tensor
    paint: Tensor
    colour: Tensor
    gloss: Tensor
    path: CameraPath
    position: Tensor
    lens: Tensor
    focal: Tensor
    light: Tensor
    decor: Tensor
    waves: Tensor
    pose: Tensor
    mouth: Tensor
    blink: Tensor
    who: Tensor
    slot: Tensor
    home: Tensor
    looks: Tensor
    kinds: Tensor

    def look(self, who: Tensor) -> dict[str, Tensor]:
        """Numbers and colours of characters who [n], by name."""
        numbers = self.looks[who]
        named: dict[str, Tensor] = {"kinds": self.kinds[who]}
        for i, name in enumerate(LOOKS):
            stem, _, letter = name.rpartition("_")
            if letter == "r":
                named[stem] = numbers[:, i : i + 3]
            elif letter not in ("g", "b"):
                named[name] = numbers[:, i]
        return named


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

        put(
            inverse=torch.cat([turned, shift[..., None]], -1).flatten(0, 1),
            matrix=matrix.flatten(0, 1),
            shape=rows(fixed.shape),
            span=rows(fixed.span),
            reach=rows(fixed.reach),
            frame=(frames + number).expand(-1, len(owner)).flatten(),
            person=torch.where(owner < 0, -1, people + number * count + owner).flatten(),
            bone=rows(torch.where(owner < 0, -1, fixed.bone)),
            paint=rows(fixed.paint),
            colour=rows(fixed.colour),
            gloss=rows(gloss),
            light=torch.tensor([*scene.light.toward, *scene.light.key, scene.light.fill]).expand(length, 7),
            decor=_decor(scene.background).expand(length, 5, 3),
            waves=scene.background.decor.waves.expand(length, -1, 4),
            pose=poses.flatten(0, 1),
            mouth=mouth.transpose(0, 1).flatten(0, 1),
            blink=scene.blink.to(torch.float32).T.flatten(),
            who=(cast + torch.arange(count)).expand(length, count).flatten(),
            slot=torch.arange(count).repeat(length),
            home=(frames + number).expand(length, count).flatten(),
            looks=torch.stack([looks(c).numbers for c in scene.characters]),
            kinds=torch.stack([looks(c).kinds for c in scene.characters]),
        )
        frames, people, cast = frames + length, people + length * count, cast + count
    made = {name: torch.cat(values).to(device) for name, values in columns.items()}
    path = CameraPath(*(torch.cat(column) for column in zip(*paths, strict=True)))
    solids = Solids(*(made.pop(name) for name in Solids._fields))
    position, focal = (x.to(device, torch.float32) for x in (path.position, path.focal))
    glass = lens(path.rotation, path.focal).to(device, torch.float32)
    rays = Rays(position[made["frame"]], glass[made["frame"]])
    return Tables(solids, rays, path=path, position=position, lens=glass, focal=focal, **made)


@lru_cache(maxsize=4096)
def _decor(background: Background) -> Tensor:
    """[5, 3] linear paint of wall and floor."""
    paint = torch.cat([background.decor.wall, background.decor.floor])
    return torch.tensor([linear(tuple(c)) for c in paint.tolist()])
