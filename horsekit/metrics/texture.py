"""How clean a picture is: jagged or soft outlines, the grid of a tokenizer's patches, flicker.

P points of the outline, S samples across it, F frames.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from horsekit.media import Clip
from horsekit.metrics.alignment import moved, places, sampled
from horsekit.metrics.camera import CameraMotion
from horsekit.metrics.figure import CENTRE, SIZE, Figure, figure_of, lay_over, usual_frame
from horsekit.stage import Character

REACH, STEP = 4.0, 0.25  # pixels to either side of the outline, and between samples
FLAT = 2.5  # pixels from the outline, from where its two sides are taken to be even
LEAST_CONTRAST = 0.15
UNEVEN = 0.25  # of the contrast: how much a side may vary before another edge is taken to be near
NEIGHBOURS = 3.2  # pixels along the outline over which it should be a parabola: chins and brims are no wider
LEAST_POINTS, LEAST_NEIGHBOURS = 20, 6
MARGIN = 0.45  # of the picture's height from its middle: what lies further is left out


@dataclass(frozen=True)
class Texture:
    """One clip; None where it cannot be told, with the reason.

    edge: usual distance of the outline from a smooth curve, in pixels: 1.4826 times the median, which is the root
    mean square of normal distances; regular stairs of k pixels have 0.37 k, and what is wrong on less than half of
    the outline is not told; width: of the outline from 10% to 90%, in pixels, without which blur would look clean;
    grid: energy of the differences across the patches' borders over that within, 1 for none; flicker: root mean
    square of the second differences in time, in 255ths.
    """

    edge: float | None = None
    width: float | None = None
    grid: float | None = None
    flicker: float | None = None
    reason: str = ""


def texture_of(clip: Clip, character: Character, motion: CameraMotion, patch: int = 16) -> Texture:
    """Measure a clip that shows a character alone; patch: side of a latent's patch in pixels."""
    if motion.move is None:
        return Texture(reason=motion.reason)
    frame = clip.frames[usual_frame(motion.move, len(clip.frames))]
    found = _outline(frame, figure_of(character))
    return Texture(
        *(found or (None, None)),
        grid_energy(clip.frames, patch),
        flicker(clip.frames),
        "" if found else "no outline stands out from its background",
    )


def grid_energy(frames: Tensor, patch: int) -> float:
    """Squared differences across borders of patches over those elsewhere, frames [F, H, W, C]."""
    at_borders, elsewhere = [], []
    for axis in (1, 2):
        steps = frames.float().diff(dim=axis).square().mean([d for d in (0, 1, 2, 3) if d != axis])
        border = (torch.arange(len(steps)) + 1) % patch == 0
        at_borders.append(steps[border])
        elsewhere.append(steps[~border])
    return (torch.cat(at_borders).mean() / torch.cat(elsewhere).mean().clamp(min=1e-6)).item()


def flicker(frames: Tensor) -> float:
    """Root mean square of the second differences in time, which steady motion does not have."""
    return frames.float().diff(n=2, dim=0).square().mean().sqrt().item()


def _outline(frame: Tensor, figure: Figure) -> tuple[float, float] | None:
    """(edge, width) in pixels of the frame, or None where too little of the outline can be followed."""
    pixels = frame.shape[0]
    points, normals = _contour(figure)
    motion = lay_over(figure, frame)
    turned = motion * motion.new_tensor([0, 0, 0, 1])
    points = moved(motion, points[None], CENTRE)[0]
    normals = moved(turned, normals[None], torch.zeros(2))[0]
    offsets = torch.arange(-REACH, REACH + STEP / 2, STEP)
    at = points[:, None] + normals[:, None] * (offsets / pixels)[:, None]
    picture = rearrange(frame.float() / 255, "H W C -> 1 C H W")
    profile = rearrange(sampled(picture, at[None], "border"), "1 C P S -> P S C")
    inner, outer = profile[:, offsets <= -FLAT], profile[:, offsets >= FLAT]
    across = inner.mean(1) - outer.mean(1)
    contrast = across.norm(dim=1)
    share = ((profile - outer.mean(1, keepdim=True)) * across[:, None]).sum(2) / contrast.square()[:, None]
    uneven = torch.maximum(inner.std(1).norm(dim=1), outer.std(1).norm(dim=1)) / contrast
    good = (contrast > LEAST_CONTRAST) & (uneven < UNEVEN) & (at.abs().amax((1, 2)) < 0.5)
    if int(good.sum()) < LEAST_POINTS:
        return None
    share = share[good]
    place = _crossing(share, offsets)[:, None] / pixels
    slope = ((share > 0.1) & (share < 0.9)).sum(1) * STEP
    away = _unevenness(points[good] + place * normals[good], normals[good], NEIGHBOURS / pixels) * pixels
    return (1.4826 * away.abs().median()).item(), slope.median().item()


def _crossing(share: Tensor, offsets: Tensor) -> Tensor:
    """Where each profile [P, S] first falls through a half, between samples, [P]."""
    first = (share < 0.5).float().argmax(1).clamp(min=1)
    rows = torch.arange(len(share))
    before, after = share[rows, first - 1], share[rows, first]
    return offsets[first - 1] + STEP * (before - 0.5) / (before - after).clamp(min=1e-6)


def _contour(figure: Figure) -> tuple[Tensor, Tensor]:
    """Places [P, 2] on a figure's outline and the directions [P, 2] that lead out of it."""
    mask = figure.mask[None, None]
    blurred = mask
    for _ in range(3):
        blurred = functional.avg_pool2d(blurred, 5, 1, 2, count_include_pad=False)
    right, up = blurred.diff(dim=3), -blurred.diff(dim=2)
    slope = torch.stack([right[0, 0, :-1], up[0, 0, :, :-1]], -1)
    border = (mask - -functional.max_pool2d(-mask, 3, 1, 1) > 0)[0, 0, :-1, :-1]
    grid = places(SIZE)[:-1, :-1]
    chosen = border & (grid.abs() < MARGIN).all(-1) & (slope.norm(dim=-1) > 0.02)
    return grid[chosen], -functional.normalize(slope[chosen], dim=-1)


def _unevenness(points: Tensor, normals: Tensor, reach: float) -> Tensor:
    """How far each point [P, 2] lies off the parabola through its neighbours, [P]."""
    apart = points[None] - points[:, None]
    along = (apart * torch.stack([normals[:, 1], -normals[:, 0]], 1)[:, None]).sum(2) / reach
    off = (apart * normals[:, None]).sum(2)
    near = ((apart.norm(dim=2) < reach) & (normals @ normals.T > 0.7)).float()
    enough = near.sum(1) >= LEAST_NEIGHBOURS
    along, off, near = along[enough], off[enough], near[enough]
    basis = torch.stack([torch.ones_like(along), along, along.square()], -1) * near[..., None]
    inverse = torch.linalg.pinv(basis.mT @ basis)
    fitted = (inverse @ basis.mT @ (off * near)[..., None])[:, 0, 0]
    return fitted / (1 - inverse[:, 0, 0]).clamp(min=0.1).sqrt()  # it drew the parabola to itself
