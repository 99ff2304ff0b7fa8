"""Who attends to whom, and one attention function with two backends.

S tokens, B samples, N tokens of a sample, R remembered tokens of a sample, H heads, G key/value heads,
d head width
"""

from collections import defaultdict
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from horsekit.sequence import Stream

BACKENDS = ("sdpa", "dense")


@dataclass(frozen=True, eq=False)
class Group:
    """Samples of one shape: rows [B, N] of the stream, remembered [B, R] rows of the memory or None.

    window [N, N + R]: which keys a query sees in a local layer, None if all.
    """

    rows: Tensor
    remembered: Tensor | None
    window: Tensor | None


@dataclass(frozen=True, eq=False)
class Layout:
    """What every layer needs to know of a stream: its experts' rows, its positions and its samples."""

    sizes: tuple[int, int, int]
    cos: Tensor
    sin: Tensor
    groups: tuple[Group, ...]
    backend: str


def rotary(coords: Tensor, bands: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine [S, 3·bands] of the rotary angles of coordinates [S, 9] (SPEC §1.5)."""
    place, size, reference = coords.float().split(3, dim=1)
    centre = (size - 1) / 2
    centre = torch.cat([torch.zeros_like(centre[:, :1]), centre[:, 1:]], dim=1)
    single = (size == 1) & (reference == 1)
    scale = torch.where(single, 1.0, (reference - 1) / (size - 1).masked_fill(single, 1))
    angles = ((place - centre) * scale)[..., None] * bands
    return angles.flatten(1).cos(), angles.flatten(1).sin()


def layout(
    stream: Stream,
    bands: Tensor,
    owned: dict[int, list[Tensor]] | None = None,
    radius: int = -1,
    backend: str = "sdpa",
) -> Layout:
    """Lay a stream out. owned: for each sample, the memory rows of its references; radius: local window."""
    if backend not in BACKENDS:
        raise ValueError(f"there is no attention backend {backend!r}; choose one of {BACKENDS}")
    cos, sin = rotary(stream.coords, bands)
    rows = stream.order.split(list(stream.lengths))
    alike = defaultdict(list)
    for sample in range(len(rows)):
        kept = torch.cat(owned[sample]) if owned and sample in owned else None
        shape = (stream.counts[sample], stream.grids[sample], 0 if kept is None else len(kept))
        alike[shape].append((rows[sample], kept))
    groups = []
    for (counts, grid, kept), members in alike.items():
        window = (
            _window(counts, grid, kept, radius).to(stream.coords.device) if radius >= 0 and grid else None
        )
        remembered = torch.stack([memory for _, memory in members]) if kept else None
        groups.append(Group(torch.stack([own for own, _ in members]), remembered, window))
    return Layout(stream.sizes, cos, sin, tuple(groups), backend)


def _window(counts: tuple[int, int, int], grid: tuple[int, int, int], kept: int, radius: int) -> Tensor:
    """Video sees video within `radius` latent frames, and all else; all else sees everything (SPEC §3.4)."""
    videos, total = counts[0], sum(counts)
    frame = torch.arange(videos) // (grid[1] * grid[2])
    seen = torch.ones(total, total + kept, dtype=torch.bool)
    seen[:videos, :videos] = (frame[:, None] - frame).abs() <= radius
    return seen


def attend(
    q: Tensor, k: Tensor, v: Tensor, layout: Layout, memory: tuple[Tensor, Tensor] | None, local: bool
) -> Tensor:
    """Attention of each sample over itself and what it remembers. q [S, H, d], k v [S, G, d] to [S, H, d]."""
    kernel = _sdpa if layout.backend == "sdpa" else _dense
    parts = []
    for group in layout.groups:
        keys, values = k[group.rows], v[group.rows]
        if group.remembered is not None:
            assert memory is not None
            keys = torch.cat([keys, memory[0][group.remembered]], dim=1)
            values = torch.cat([values, memory[1][group.remembered]], dim=1)
        parts.append(kernel(q[group.rows], keys, values, group.window if local else None).flatten(0, 1))
    rows = torch.cat([group.rows.flatten() for group in layout.groups])
    mixed = torch.cat(parts)
    return torch.empty_like(mixed).index_copy(0, rows, mixed)


def _sdpa(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None) -> Tensor:
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=seen, enable_gqa=True).transpose(1, 2)


def _dense(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None) -> Tensor:
    """The definition: one softmax over explicit scores."""
    repeats = q.shape[2] // k.shape[2]
    k, v = (x.repeat_interleave(repeats, dim=2) for x in (k, v))
    scores = torch.einsum("bnhd,bmhd->bhnm", q, k) * q.shape[-1] ** -0.5
    if seen is not None:
        scores = scores.masked_fill(~seen, -torch.inf)
    return torch.einsum("bhnm,bmhd->bnhd", scores.softmax(-1), v)
