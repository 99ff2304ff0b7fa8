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
from horsekit.stage.shading import shade
from horsekit.stage.solids import Rays, Solids, coefficients, nearest, pixel_pairs, screen_bounds
from horsekit.stage.tables import Tables, tabulate
from horsekit.stage.truth import head_boxes, mouth_boxes, shares_in_frame, shares_unhidden

# frames traced together: few enough that the work stays in the processor's cache
_CHUNK_PIXELS = 16 * 64 * 64
# a pixel whose neighbours' colours lie closer than this (sRGB, 0..1) is smooth: one sample is enough
_SMOOTH = 0.03


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

    Every pixel near an edge is the mean of supersample² samples; smooth pixels take one, unless
    edges_only is False. Raises ValueError for a mouth track of another shape.
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
    total = len(tables.focal)
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
        Light.draw(seed),
        Background(seed),
        head_pose=torch.tensor(pose)[None, None],
    )
    mouth = torch.tensor([uniform(source, 0.0, 1.0) for _ in range(5)])
    mouth[0] = mouth[0] * (mouth[0] > 0.4)  # as often shut as open
    return render([scene], [mouth[None, None]], size, device=device)[0].frames[0]


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
    """uint8 frames [stop − start, H, W, 3] and the visible share of every person in them."""
    device = tables.focal.device
    rows = ((tables.frame >= start) & (tables.frame < stop)).nonzero()[:, 0]
    solids = Solids(*(x[rows] for x in tables.solids))
    rays = Rays(*(x[rows] for x in tables.rays))
    table = coefficients(solids, rays)
    frame = tables.frame[rows] - start
    pixel, solid = pixel_pairs(screen_bounds(solids, rays), frame, size)
    frames, pixels = stop - start, (stop - start) * size * size
    ramp = (torch.arange(size, device=device) + 0.5) / size - 0.5
    across = ramp.expand(frames, size, size).flatten()
    upward = (-ramp[:, None]).expand(frames, size, size).flatten()
    number = torch.arange(start, stop, device=device).repeat_interleave(size * size)

    def trace(site: Tensor, where: Tensor, solid: Tensor, offsets: Tensor, spacing: float):
        """Colour [sites, Q, 3] linear, owner and hits at `offsets` [Q, 2] round the pixels where [sites]."""
        u, v = (r[where][None] + o[:, None] for r, o in zip((across, upward), offsets.T, strict=True))
        depth, owner, hit = nearest(table, site, solid, u[:, site], v[:, site], len(where))
        owner = torch.where(owner < 0, -1, rows[owner.clamp(min=0)])
        shots = number[where, None].expand(-1, len(offsets))
        colour = shade(
            tables, shots.flatten(), u.T.flatten(), v.T.flatten(), depth.flatten(), owner.flatten(), spacing
        )
        return colour.view(len(where), len(offsets), 3), owner, hit

    everywhere = torch.arange(pixels, device=device)
    middle = torch.zeros(1, 2, device=device)
    colour, owner, hit = trace(pixel, everywhere, solid, middle, 1 / size)
    hits = hit[0].nonzero()[:, 0]
    seen = shares_unhidden(tables, rows, pixel[hits], solid[hits], owner[:, 0], start, stop)
    colour = colour[:, 0]
    if supersample > 1:
        if edges_only:
            edge = edges(_grid(encode(colour), frames), _grid(owner, frames)[..., 0]).flatten()
        else:
            edge = torch.ones(pixels, dtype=torch.bool, device=device)
        where = edge.nonzero()[:, 0]
        place = torch.full((pixels,), -1, device=device)
        place[where] = torch.arange(len(where), device=device)
        kept = edge[pixel].nonzero()[:, 0]
        step = ((torch.arange(supersample, device=device) + 0.5) / supersample - 0.5) / size
        offsets = torch.cartesian_prod(step, step)
        fine, _, _ = trace(place[pixel[kept]], where, solid[kept], offsets, 1 / (size * supersample))
        colour = colour.index_copy(0, where, fine.mean(1))
    return _grid((encode(colour) * 255).round().to(torch.uint8), frames), seen


def _grid(x: Tensor, frames: int) -> Tensor:
    """[F · H · W, …] to [F, H, W, …] for square frames."""
    side = round((len(x) // frames) ** 0.5)
    return x.view(frames, side, side, *x.shape[1:])


def encode(colour: Tensor) -> Tensor:
    """Linear light to sRGB, both in 0..1 (IEC 61966-2-1)."""
    colour = colour.clamp(0, 1)
    return torch.where(
        colour <= 0.0031308, 12.92 * colour, 1.055 * colour.clamp(min=1e-5) ** (1 / 2.4) - 0.055
    )


def edges(colour: Tensor, owner: Tensor) -> Tensor:
    """[F, H, W] where a pixel or one of its eight neighbours may hold an edge.

    colour [F, H, W, 3] sRGB in 0..1, owner [F, H, W] solids: an edge lies between neighbours of other
    solids or of visibly other colour.
    """
    marked = torch.zeros_like(owner, dtype=torch.bool)
    for axis in (1, 2):
        length = owner.shape[axis] - 1
        one, two = owner.narrow(axis, 0, length), owner.narrow(axis, 1, length)
        jump = (colour.narrow(axis, 0, length) - colour.narrow(axis, 1, length)).abs().amax(-1) > _SMOOTH
        step = (one != two) | jump
        marked.narrow(axis, 0, length).logical_or_(step)
        marked.narrow(axis, 1, length).logical_or_(step)
    return marked
