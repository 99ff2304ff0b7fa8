"""The renderer: scenes and mouths in, frames and the exact truth of each out.

F frames, C characters, M solids of all frames, n samples, Q samples per pixel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from horsekit.stage.background import Background
from horsekit.stage.camera import DISTANCE, CameraMove, CameraPath
from horsekit.stage.cast import Character
from horsekit.stage.light import Light
from horsekit.stage.scene import ALONE, Scene
from horsekit.stage.seeding import generator, uniform
from horsekit.stage.shading import Samples, shade
from horsekit.stage.solids import Rays, Solids, coefficients, nearest, pixel_pairs, screen_bounds
from horsekit.stage.tables import Tables, tabulate
from horsekit.stage.truth import head_boxes, mouth_boxes, shares_in_frame, shares_unhidden

# frames traced together: few enough that the work stays in the processor's cache
_CHUNK_PIXELS = 32 * 64 * 64
# sRGB bytes of evenly spaced linear light (IEC 61966-2-1), finer than a byte even in the dark
_LINEAR = torch.linspace(0, 1, 1 << 14, dtype=torch.float64)
_SRGB = torch.where(_LINEAR <= 0.0031308, 12.92 * _LINEAR, 1.055 * _LINEAR ** (1 / 2.4) - 0.055)
_SRGB = (_SRGB * 255).round().to(torch.uint8)


@dataclass(frozen=True, eq=False)
class RenderedView:
    """A rendered scene and its truth.

    frames [F, H, W, 3] uint8; camera: CameraPath of float64 (position [F, 3], rotation [F, 3, 3],
    focal [F] in picture heights); head_pose [C, F, 3] radians; mouth [C, F, 5] as driven;
    mouth_box and head_box [C, F, 4] (centre x, centre y, width, height) in pixels, by projection,
    whether hidden or not; visible [C, F], the share of the head in frame and not behind someone else.
    """

    frames: Tensor
    camera: CameraPath
    head_pose: Tensor
    mouth: Tensor
    mouth_box: Tensor
    head_box: Tensor
    visible: Tensor


def render(
    scenes: Sequence[Scene],
    mouths: Sequence[Tensor],
    size: int = 64,
    supersample: int = 2,
    device: torch.device | str = "cpu",
    edges_only: bool = True,
) -> list[RenderedView]:
    """Render scenes, each with its mouths [characters, frames, 5] in 0..1 (aperture, width, rounding,
    teeth, tongue), to square frames of `size` pixels.

    Every pixel near the outline of a solid is the mean of supersample² samples; paint is smoothed by
    its own footprint, so that the rest take one, unless edges_only is False. Raises ValueError for a
    mouth track of another shape.
    """
    scenes, mouths = list(scenes), list(mouths)
    if len(scenes) != len(mouths):
        raise ValueError(f"{len(scenes)} scenes and {len(mouths)} mouth tracks; give one track per scene")
    for scene, mouth in zip(scenes, mouths, strict=True):
        wanted = (len(scene.characters), scene.frames, 5)
        if tuple(mouth.shape) != wanted:
            raise ValueError(f"a mouth track has shape {list(mouth.shape)}; the scene needs {list(wanted)}")
    if not scenes:
        return []
    tables = tabulate(scenes, mouths, device)
    total = len(tables.position)
    step = max(1, _CHUNK_PIXELS // size**2)
    pieces, seen = [], []
    for start in range(0, total, step):
        frames, visible = _render_frames(
            tables, start, min(start + step, total), size, supersample, edges_only
        )
        pieces.append(frames)
        seen.append(visible)
    return _views(scenes, mouths, tables, torch.cat(pieces).cpu(), torch.cat(seen).cpu(), size)


def portrait(character: Character, seed: int, size: int = 64, device: torch.device | str = "cpu") -> Tensor:
    """A reference picture [H, W, 3] uint8: the character in another pose, light, room, mouth and distance."""
    source = generator(seed, "portrait")
    camera = CameraMove(
        start_yaw=uniform(source, -0.6, 0.6),
        start_height=uniform(source, -0.3, 0.5),
        start_distance=DISTANCE * uniform(source, 0.85, 1.2),
    )
    pose = [uniform(source, -bound, bound) for bound in (0.35, 0.12, 0.1)]
    scene = Scene(
        1,
        (character,),
        ALONE,
        camera,
        portrait_light(seed),
        Background(seed),
        head_pose=torch.tensor(pose)[None, None],
    )
    return render([scene], [random_mouths(1, source)[:, None]], size, device=device)[0].frames[0]


def portrait_light(seed: int) -> Light:
    """The light in the reference picture of a seed."""
    return Light.draw(seed)


def random_mouths(characters: int, source: torch.Generator) -> Tensor:
    """Mouths that need not belong to a sound, [C, 5], four in ten of them shut."""
    mouths = torch.rand(characters, 5, generator=source)
    mouths[:, 0] *= mouths[:, 0] > 0.4
    return mouths


def _views(
    scenes: list[Scene], mouths: list[Tensor], tables: Tables, frames: Tensor, visible: Tensor, size: int
) -> list[RenderedView]:
    mouth_box, head_box = mouth_boxes(tables, size).cpu(), head_boxes(tables, size).cpu()
    visible = visible * shares_in_frame(head_box, size)
    views, frame, person = [], 0, 0
    for scene, mouth in zip(scenes, mouths, strict=True):
        count, length = len(scene.characters), scene.frames
        shots = slice(frame, frame + length)
        people = slice(person, person + length * count)
        boxes = [rearrange(b[people], "(f c) d -> c f d", c=count) for b in (mouth_box, head_box)]
        shown = rearrange(visible[people], "(f c) -> c f", c=count)
        camera = CameraPath(*(x[shots] for x in tables.path))
        views.append(RenderedView(frames[shots].clone(), camera, scene.head_pose, mouth.cpu(), *boxes, shown))
        frame, person = frame + length, person + length * count
    return views


def _render_frames(
    tables: Tables, start: int, stop: int, size: int, supersample: int, edges_only: bool
) -> tuple[Tensor, Tensor]:
    """uint8 frames [stop − start, H, W, 3] and the unhidden share of every person's head in them."""
    device = tables.frame.device
    rows = ((tables.frame >= start) & (tables.frame < stop)).nonzero()[:, 0]
    solids = Solids(*(x.index_select(0, rows) for x in tables.solids))
    rays = Rays(*(x.index_select(0, rows) for x in tables.rays))
    table = coefficients(solids, rays)
    frames, pixels = stop - start, (stop - start) * size * size
    pixel, solid = pixel_pairs(screen_bounds(solids, rays), tables.frame[rows] - start, size)
    ramp = (torch.arange(size, device=device) + 0.5) / size - 0.5
    grid = torch.stack([ramp.expand(size, size), -ramp[:, None].expand(size, size)])
    u, v = grid[:, None].expand(2, frames, size, size).reshape(2, -1)
    number = torch.arange(start, stop, device=device).repeat_interleave(size * size)

    at_u, at_v = u.index_select(0, pixel), v.index_select(0, pixel)
    depth, owner, hit = nearest(table, pixel, solid, at_u[None], at_v[None], pixels)
    depth, owner, landed = depth[0], owner[0], hit[0].nonzero()[:, 0]
    owner = _numbered(owner, rows)
    seen = shares_unhidden(tables, rows, pixel[landed], solid[landed], owner, start, stop)
    single = Samples(number, u, v, depth, owner)
    if supersample == 1:
        return _picture(shade(tables, single, 1 / size), frames, size), seen

    edge = (
        edges(owner.view(frames, size, size)).flatten()
        if edges_only
        else torch.ones_like(u, dtype=torch.bool)
    )
    where, smooth = edge.nonzero()[:, 0], (~edge).nonzero()[:, 0]
    place = torch.zeros(pixels, dtype=torch.long, device=device)
    place[where] = torch.arange(len(where), device=device)
    kept = edge.index_select(0, pixel).nonzero()[:, 0]
    steps = ((torch.arange(supersample, device=device) + 0.5) / supersample - 0.5) / size
    shift = torch.cartesian_prod(steps, steps).T
    around_u, around_v = (
        x.index_select(0, kept) + s[:, None] for x, s in zip((at_u, at_v), shift, strict=True)
    )
    site = place.index_select(0, pixel.index_select(0, kept))
    fine = nearest(table, site, solid.index_select(0, kept), around_u, around_v, len(where))
    depth, owner = fine[0], _numbered(fine[1], rows)
    around = single.at(where)
    if edges_only:
        several, index = _merged(around, depth, owner, shift)
        spacing = 1 / size
    else:
        many = [x.expand(len(depth), -1).flatten() for x in (around.frame, around.u, around.v)]
        many[1:] = [(x + s[:, None]).flatten() for x, s in zip(around[1:3], shift, strict=True)]
        several, index = Samples(*many, depth.flatten(), owner.flatten()), torch.arange(owner.numel())
        spacing = 1 / (size * supersample)
    together = Samples(*(torch.cat(pair) for pair in zip(single.at(smooth), several, strict=True)))
    shaded = shade(tables, together, spacing)
    mean = shaded[:, len(smooth) :].index_select(1, index.flatten()).view(3, len(depth), -1).mean(1)
    colour = torch.empty(3, pixels, device=device).index_copy_(1, smooth, shaded[:, : len(smooth)])
    return _picture(colour.index_copy_(1, where, mean), frames, size), seen


def _numbered(owner: Tensor, rows: Tensor) -> Tensor:
    """Solids counted among `rows` as rows of the tables; −1 stays."""
    return (
        torch.cat([rows, rows.new_full((1,), -1)])
        .index_select(0, owner.flatten() % (len(rows) + 1))
        .view_as(owner)
    )


def _merged(around: Samples, depth: Tensor, owner: Tensor, shift: Tensor) -> tuple[Samples, Tensor]:
    """One sample for all that see one solid in a pixel, at their middle; and [Q, n], which is whose.

    around [n]: the pixels; depth, owner [Q, n]; shift [2, Q] of the samples. Paint carries its own
    footprint, so that a solid's share of a pixel needs shading only once.
    """
    same = owner[:, None] == owner[None]
    share = same.to(depth.dtype)
    share = share / share.sum(0)
    count = len(depth)
    rank = torch.arange(count, 0, -1, dtype=torch.uint8, device=depth.device)
    first = count - (same.to(torch.uint8) * rank[:, None, None]).amax(0).long()
    leads = first == torch.arange(count, device=depth.device)[:, None]
    lead = leads.flatten().nonzero()[:, 0]
    index = torch.zeros(owner.numel(), dtype=torch.long, device=depth.device)
    index[lead] = torch.arange(len(lead), device=depth.device)
    length = owner.shape[1]
    index = index.index_select(0, (first * length + torch.arange(length, device=depth.device)).flatten())
    moved = torch.einsum("dq,qsn->dsn", shift, share)
    middle = (share * depth.clamp(max=1e4)[:, None]).sum(0)
    spread = [around.frame.expand(count, -1), around.u + moved[0], around.v + moved[1], middle, owner]
    return Samples(*(x.reshape(-1).index_select(0, lead) for x in spread)), index.view(count, length)


def edges(owner: Tensor) -> Tensor:
    """[F, H, W] where a pixel or one of its four neighbours sees another solid; owner [F, H, W]."""
    marked = torch.zeros_like(owner, dtype=torch.bool)
    for axis in (1, 2):
        length = owner.shape[axis] - 1
        step = owner.narrow(axis, 0, length) != owner.narrow(axis, 1, length)
        marked.narrow(axis, 0, length).logical_or_(step)
        marked.narrow(axis, 1, length).logical_or_(step)
    return marked


def _picture(colour: Tensor, frames: int, size: int) -> Tensor:
    """Linear light [3, F · H · W] as sRGB uint8 [F, H, W, 3]."""
    level = (colour.clamp_(0, 1) * (len(_SRGB) - 1)).round_().int()
    encoded = _SRGB.to(colour.device).index_select(0, level.flatten()).view(3, -1)
    return rearrange(encoded, "c (f h w) -> f h w c", f=frames, h=size)
