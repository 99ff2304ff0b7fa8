"""Analytic solids, ray-traced: quadrics of revolution under affine maps, cut between two planes.

M solids of all frames together, P pairs of a pixel and a solid, Q samples of a pixel.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

_NEAR = 0.05


class Quadric(NamedTuple):
    """x² + z² + a y² + b y + c = 0 for low ≤ y ≤ high, carried into a bone's frame by `matrix` (3 × 4 rows).

    `reach` is the largest radius between the two planes.
    """

    matrix: tuple[tuple[float, ...], ...]
    shape: tuple[float, float, float]
    span: tuple[float, float]
    reach: float


def ball(
    centre: tuple[float, float, float],
    radii: tuple[float, float, float],
    pitch: float = 0.0,
    roll: float = 0.0,
    low: float = -1.0,
    high: float = 1.0,
) -> Quadric:
    """An ellipsoid, turned by roll (top to the left) then pitch (top to the front), kept for low ≤ y ≤ high.

    low and high are shares of its own vertical radius, −1 to 1.
    """
    cp, sp, cr, sr = math.cos(pitch), math.sin(pitch), math.cos(roll), math.sin(roll)
    axes = ((cr, -sr, 0.0), (cp * sr, cp * cr, -sp), (sp * sr, sp * cr, cp))
    rows = tuple(
        (*(a * r for a, r in zip(row, radii, strict=True)), c) for row, c in zip(axes, centre, strict=True)
    )
    nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return Quadric(rows, (1.0, 0.0, -1.0), (low, high), math.sqrt(1 - nearest**2))


def cone(
    start: tuple[float, float, float], end: tuple[float, float, float], first: float, last: float
) -> Quadric:
    """The open side of a round frustum from `start` (radius `first`) to `end` (radius `last`)."""
    axis = torch.tensor(end, dtype=torch.float64) - torch.tensor(start, dtype=torch.float64)
    along = axis / axis.norm()
    aside = torch.eye(3, dtype=torch.float64)[int(along.abs().argmin())]
    x = torch.nn.functional.normalize(torch.linalg.cross(along, aside), dim=0)
    z = torch.linalg.cross(x, along)
    matrix = torch.stack([x, axis, z, torch.tensor(start, dtype=torch.float64)], 1)
    slope = last - first
    shape = (-slope * slope, -2 * first * slope, -first * first)
    return Quadric(tuple(map(tuple, matrix.tolist())), shape, (0.0, 1.0), max(first, last))


class Solids(NamedTuple):
    """Solids placed in the world, one row each.

    inverse [M, 3, 4] world to local, matrix [M, 3, 4] local to world, shape [M, 3], span [M, 2], reach [M].
    """

    inverse: Tensor
    matrix: Tensor
    shape: Tensor
    span: Tensor
    reach: Tensor


class Rays(NamedTuple):
    """Cameras, one row per solid: position [M, 3]; lens [M, 3, 3] maps (u, v, 1) to a world direction.

    u and v run from −0.5 to 0.5 across the picture, to the right and up; directions have unit depth.
    """

    position: Tensor
    lens: Tensor


def lens(rotation: Tensor, focal: Tensor) -> Tensor:
    """[..., 3, 3] from camera rotation [..., 3, 3] and focal length [...] in picture heights."""
    scale = torch.stack([1 / focal, 1 / focal, -torch.ones_like(focal)], -1)
    return rotation * scale[..., None, :]


def coefficients(solids: Solids, rays: Rays) -> Tensor:
    """[17, M] polynomial coefficients in (u, v) of the ray equation s t² + 2 h t + k = 0 and of y = o + t d.

    s: 6, h: 3, k: 1, whether the solid is cut so that both roots matter, d: 3, o: 1, low, high.
    """
    turn = solids.inverse[..., :3]
    direction = turn @ rays.lens
    origin = (turn @ rays.position[..., None])[..., 0] + solids.inverse[..., 3]
    a, b, c = solids.shape.unbind(-1)
    weight = torch.ones_like(solids.shape)
    weight[..., 1] = a
    square = direction.mT @ (weight[..., None] * direction)
    half = (direction * (weight * origin)[..., None]).sum(-2) + 0.5 * b[..., None] * direction[..., 1, :]
    constant = (weight * origin * origin).sum(-1) + b * origin[..., 1] + c
    quadratic = [square[..., 0, 0], 2 * square[..., 0, 1], 2 * square[..., 0, 2]]
    quadratic += [square[..., 1, 1], 2 * square[..., 1, 2], square[..., 2, 2]]
    cut = (a != 1) | (solids.span[..., 0] > -1) | (solids.span[..., 1] < 1)
    columns = [*quadratic, *half.unbind(-1), constant, cut.to(constant.dtype)]
    columns += [*direction[..., 1, :].unbind(-1), origin[..., 1], *solids.span.unbind(-1)]
    return torch.stack(columns)


def screen_bounds(solids: Solids, rays: Rays) -> Tensor:
    """[M, 4] left, right, bottom, top of each solid in (u, v), clamped to ±2; a superset, tight for balls."""
    to_screen = torch.linalg.inv(rays.lens)
    view = to_screen @ solids.matrix[..., :3]
    middle = (to_screen @ (solids.matrix[..., 3] - rays.position)[..., None])[..., 0]
    signs = torch.tensor([-1.0, 1.0], device=middle.device)
    low_high = solids.span[:, None, None, :].expand(-1, 2, 2, 2)
    across = (signs * solids.reach[:, None])[:, :, None, None].expand(-1, 2, 2, 2)
    corners = torch.stack([across, low_high, across.transpose(1, 2)], -1).flatten(1, 3)
    points = corners @ view.mT + middle[:, None]
    behind = (points[..., 2] < _NEAR).any(-1)
    flat = points[..., :2] / points[..., 2:].clamp(min=_NEAR)
    bounds = torch.stack([flat.amin(1), flat.amax(1)], -1)
    # an ellipsoid's outline is known exactly, from its dual quadric seen by the camera
    dual = view @ view.mT - middle[:, :, None] * middle[:, None, :]
    depth = dual[:, 2, 2].clamp(max=-1e-6)[:, None]
    centre = dual[:, :2, 2] / depth
    edges = dual[:, :2, :2].diagonal(dim1=1, dim2=2)
    radius = (centre.square() - edges / depth).clamp(min=0).sqrt()
    outline = torch.stack([centre - radius, centre + radius], -1)
    tighter = torch.stack(
        [bounds[..., 0].maximum(outline[..., 0]), bounds[..., 1].minimum(outline[..., 1])], -1
    )
    bounds = torch.where((solids.shape[:, 0] == 1)[:, None, None], tighter, bounds).clamp(-2, 2)
    everything = torch.tensor([-2.0, 2.0], device=bounds.device)
    bounds = torch.where(behind[:, None, None], everything, bounds)
    # wholly behind the camera: nothing to see
    gone = (points[..., 2] < _NEAR).all(-1)
    return torch.where(gone[:, None, None], -2.0, bounds).flatten(1)


def pixel_pairs(bounds: Tensor, frame: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Which pixel may see which solid: (pixel [P] numbered frame · size² + row · size + column, solid [P]).

    bounds [M, 4] from `screen_bounds`; frame [M] of each solid.
    """
    left = ((bounds[:, 0] + 0.5) * size).floor().clamp(0, size)
    right = ((bounds[:, 1] + 0.5) * size).ceil().clamp(0, size)
    top = ((0.5 - bounds[:, 3]) * size).floor().clamp(0, size)
    bottom = ((0.5 - bounds[:, 2]) * size).ceil().clamp(0, size)
    width, height = (right - left).long(), (bottom - top).long()
    # first one entry per solid and row, then one per pixel: no division anywhere
    solid = torch.repeat_interleave(height)
    line = torch.arange(len(solid), device=solid.device)
    start = (frame * size + top.long() - height.cumsum(0) + height) * size + left.long()
    widths = width.index_select(0, solid)
    start = start.index_select(0, solid) + line * size - widths.cumsum(0) + widths
    row = torch.repeat_interleave(widths)
    pixel = torch.arange(len(row), device=row.device) + start.index_select(0, row)
    return pixel, solid.index_select(0, row)


def nearest(
    table: Tensor, site: Tensor, solid: Tensor, u: Tensor, v: Tensor, sites: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The first solid along every ray: (depth [Q, sites], inf where none; solid [Q, sites], −1 where none).

    table from `coefficients`; site and solid [P]; u, v [Q, P] of the samples. The third value, [Q, P],
    says which pairs hit at all, hidden or not.
    """
    c = table[:11].index_select(1, solid)
    s = (c[0] * u + c[1] * v + c[2]) * u + (c[3] * v + c[4]) * v + c[5]
    h = c[6] * u + c[7] * v + c[8]
    root = (h * h - s * c[9]).sqrt_()  # NaN where the ray misses; every test below is then false
    depth = (h + root).div_(s).neg_()
    cut = c[10].nonzero()[:, 0]
    if len(cut):
        u, v, h, root, s = (x.index_select(-1, cut) for x in (u, v, h, root, s))
        d0, d1, d2, origin, low, high = table[11:].index_select(1, solid.index_select(0, cut))
        d = d0 * u + d1 * v + d2
        near, far = depth.index_select(-1, cut), (root - h).div_(s)
        for root_depth in (near, far):
            y = origin + root_depth * d
            root_depth.masked_fill_((y < low) | (y > high) | (root_depth < _NEAR), math.nan)
        depth.scatter_(1, cut.expand(len(u), -1), torch.fmin(near, far))
    hit = depth > _NEAR
    samples = len(hit)
    landed = hit.flatten().nonzero()[:, 0]
    plane = torch.arange(samples, device=site.device)[:, None] * sites
    slot = (site + plane).flatten().index_select(0, landed)
    which = solid.expand(samples, -1).reshape(-1).index_select(0, landed)
    depth = depth.flatten().index_select(0, landed)
    closest = torch.full((samples * sites,), math.inf, device=site.device)
    closest.scatter_reduce_(0, slot, depth, "amin")
    front = (depth == closest.index_select(0, slot)).nonzero()[:, 0]
    owner = torch.full((samples * sites,), -1, dtype=torch.long, device=site.device)
    owner.scatter_reduce_(0, slot.index_select(0, front), which.index_select(0, front), "amax")
    return closest.view(samples, sites), owner.view(samples, sites), hit
