"""Exact boxes and visibility, from the geometry that was rendered.

N persons (a character in one frame), P pairs of a pixel and a solid.
"""

import torch
from einops import rearrange
from torch import Tensor

from horsekit.stage.mouth import mouth_shape, outline
from horsekit.stage.puppet import HEAD, JAW_CENTRE, JAW_DROP, SKULL_CENTRE, TORSO
from horsekit.stage.solids import Rays, Solids, screen_bounds
from horsekit.stage.tables import Tables


def _box(low: Tensor, high: Tensor, size: int) -> Tensor:
    """[N, 4] centre x, centre y, width, height in pixels from (u, v) extremes [N, 2]."""
    middle, extent = (low + high) / 2, high - low
    return torch.stack([middle[:, 0] + 0.5, 0.5 - middle[:, 1], extent[:, 0], extent[:, 1]], -1) * size


def mouth_boxes(tables: Tables, size: int) -> Tensor:
    """[N, 4] box round the lips, projected from the face's surface."""
    look = tables.look(torch.arange(len(tables.who), device=tables.who.device))
    x, y = outline(mouth_shape(tables.mouth, look["mouth_width"], look["lip_fullness"]))
    depth = torch.zeros_like(x)
    drop = JAW_DROP * tables.mouth[0][:, None]
    for name, (cx, cy, cz), lowered in (("skull", SKULL_CENTRE, 0 * drop), ("jaw", JAW_CENTRE, drop)):
        rx, ry, rz = (look[f"{name}_{axis}"][:, None] for axis in "xyz")
        rest = 1 - ((x - cx) / rx).square() - ((y - cy + lowered) / ry).square()
        depth = torch.maximum(depth, cz + rz * rest.clamp(min=0).sqrt())
    pose = tables.pose[:, HEAD]
    world = torch.stack([x, y, depth], -1) @ pose[..., :3].mT + pose[:, None, :, 3]
    view = (world - tables.position[tables.home, None]) @ torch.linalg.inv(tables.lens[tables.home]).mT
    flat = view[..., :2] / view[..., 2:].clamp(min=1e-3)
    return _box(flat.amin(1), flat.amax(1), size)


def head_boxes(tables: Tables, size: int) -> Tensor:
    """[N, 4] box round all that moves with the head: skull, jaw, ears, hair and hat."""
    ours = (tables.tags[2] > TORSO).nonzero()[:, 0]
    solids = Solids(*(x[ours] for x in tables.solids))
    bounds = screen_bounds(solids, Rays(*(x[ours] for x in tables.rays)))
    person = tables.tags[1, ours][:, None].expand(-1, 2)
    low = torch.full((len(tables.who), 2), torch.inf, device=bounds.device)
    low = low.scatter_reduce(0, person, bounds[:, [0, 2]], "amin")
    high = torch.full_like(low, -torch.inf).scatter_reduce(0, person, bounds[:, [1, 3]], "amax")
    return _box(low, high, size)


def shares_in_frame(box: Tensor, size: int) -> Tensor:
    """[N] share of boxes [N, 4] that lies inside the picture."""
    low, high = box[:, :2] - box[:, 2:] / 2, box[:, :2] + box[:, 2:] / 2
    return ((high.clamp(0, size) - low.clamp(0, size)) / (high - low).clamp(min=1e-6)).prod(-1)


def shares_unhidden(
    tables: Tables, rows: Tensor, pixel: Tensor, solid: Tensor, owner: Tensor, start: int, stop: int
) -> Tensor:
    """[N'] share of each head's pixels in which nobody else is seen, for the persons of frames start..stop.

    rows [m]: those frames' solids; pixel, solid [P]: the pairs that hit, hidden or not; owner [pixels]:
    the row of `tables` that is seen there, −1 for the room.
    """
    people = ((tables.home >= start) & (tables.home < stop)).nonzero()[:, 0]
    if int(tables.slot[people].max()) == 0:
        return torch.ones(len(people), device=owner.device)
    _, person, bone = tables.tags[:, rows]
    heads = (bone > TORSO)[solid].nonzero()[:, 0]
    slot = tables.slot[person[solid[heads]]]
    covered = torch.zeros(2, len(owner), dtype=torch.bool, device=owner.device)
    covered[slot, pixel[heads]] = True
    person = torch.where(owner < 0, -1, tables.tags[1, owner.clamp(min=0)])
    seen = torch.where(person < 0, -1, tables.slot[person.clamp(min=0)])
    clear = covered & (seen == torch.arange(2, device=owner.device)[:, None])
    clear, covered = (rearrange(x, "c (f p) -> c f p", f=stop - start).sum(-1) for x in (clear, covered))
    return (clear / covered.clamp(min=1))[tables.slot[people], tables.home[people] - start]
