"""How a part of the picture moves from one frame to the next: direct alignment by similarities.

A similarity is (right, up, log scale, turn) about a centre, lengths in picture heights. N pairs of frames, C
channels, n pixels on a side.
"""

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

SIZES = (8, 16, 32, 64)  # pixels on a side, coarse to fine
ROUNDS = 5
_DAMPING = 1e-4
_OUTLIER = 1.5  # of the mean difference: where a pixel begins to count for less


def places(size: int) -> Tensor:
    """The centres of size × size pixels, [n, n, 2]: right and up, −0.5 to 0.5."""
    along = (torch.arange(size) + 0.5) / size - 0.5
    up, right = torch.meshgrid(-along, along, indexing="ij")
    return torch.stack([right, up], -1)


def moved(motion: Tensor, points: Tensor, centre: Tensor) -> Tensor:
    """Points [N, .., 2] under similarities [N, 4]."""
    shift, scale, turn = motion[:, :2], motion[:, 2].exp(), motion[:, 3]
    ones = (1,) * (points.ndim - 2)
    cos, sin = ((scale * f).view(-1, *ones) for f in (turn.cos(), turn.sin()))
    x, y = (points - centre).unbind(-1)
    return torch.stack([cos * x - sin * y, sin * x + cos * y], -1) + centre + shift.view(-1, *ones, 2)


def followed_by(first: Tensor, then: Tensor) -> Tensor:
    """The similarity [N, 4] of two about the same centre, one after the other."""
    nowhere = torch.zeros(2, dtype=first.dtype)
    shift = moved(then, first[:, None, :2], nowhere)[:, 0]
    return torch.cat([shift, first[:, 2:] + then[:, 2:]], 1)


def align(before: Tensor, after: Tensor, weight: Tensor, centre: Tensor) -> Tensor:
    """The similarities [N, 4] that carry `before` to `after`, frames [N, C, H, W], where weight [H, W] is not 0.

    Gauss-Newton on brightness, inverse compositional (Baker and Matthews 2004), coarse to fine, with pixels
    that do not follow weighted down.
    """
    motion = before.new_zeros(len(before), 4)
    for size in SIZES:
        old, new = (functional.adaptive_avg_pool2d(x, size) for x in (before, after))
        region = functional.adaptive_avg_pool2d(weight[None], size)[0]
        grid = places(size).expand(len(old), -1, -1, -1)
        jacobian = _jacobian(old, places(size) - centre)
        for _ in range(ROUNDS):
            target = moved(motion, grid, centre)
            difference = sampled(new, target) - old
            apart = difference.square().mean(1).sqrt()
            seen = region * (target.abs() < 0.5).all(-1)
            usual = (apart * seen).sum((1, 2)) / seen.sum((1, 2)).clamp(min=1e-6)
            trust = seen / (1 + (apart / (_OUTLIER * usual).clamp(min=1e-3)[:, None, None]).square())
            normal = torch.einsum("nchwi,nchwj,nhw->nij", jacobian, jacobian, trust)
            slope = torch.einsum("nchwi,nchw,nhw->ni", jacobian, difference, trust)
            free = 2 if size == SIZES[0] else 4  # so few pixels tell a shift, but no size and no turn
            held = normal[:, :free, :free] + _DAMPING * torch.eye(free)
            step = functional.pad(torch.linalg.solve(held, slope[:, :free]), (0, 4 - free))
            motion = followed_by(-step, motion)
    return motion


def sampled(frames: Tensor, points: Tensor, beyond: str = "zeros") -> Tensor:
    """Frames [N, C, H, W] at points [N, h, w, 2], [N, C, h, w]; beyond the picture zeros, or its "border"."""
    corners = points * points.new_tensor([2.0, -2.0])  # what grid_sample counts in
    return functional.grid_sample(frames, corners, padding_mode=beyond, align_corners=False)


def _jacobian(frames: Tensor, offset: Tensor) -> Tensor:
    """How brightness changes with each number of a similarity, [N, C, n, n, 4]."""
    size = frames.shape[-1]
    padded = functional.pad(frames, (1, 1, 1, 1), mode="replicate")
    right = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) * size / 2
    up = (padded[..., :-2, 1:-1] - padded[..., 2:, 1:-1]) * size / 2
    x, y = offset.unbind(-1)
    return torch.stack([right, up, right * x + up * y, up * x - right * y], -1)


def motions(frames: Tensor, weight: Tensor, centre: Tensor, stride: int) -> Tensor:
    """The similarity [T, 4] from each `stride`-th frame [F, H, W, C] uint8 to the next, by way of one between."""
    half = stride // 2
    pictures = rearrange(frames[::half].float() / 255, "T H W C -> T C H W")
    small = align(pictures[:-1], pictures[1:], weight, centre)
    return followed_by(small[: len(small) // 2 * 2 : 2], small[1::2])
