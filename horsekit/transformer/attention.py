"""Who attends to whom, and one attention function with named backends.

S tokens, M remembered tokens, B samples, N tokens of a sample, H heads, G key/value heads, d head width
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from horsekit.sequence import Modality, Stream
from horsekit.transformer.functions import permute

BACKENDS = ("sdpa", "dense", "flex")
KeysValues = tuple[Tensor, Tensor]


class Reorder(NamedTuple):
    """A permutation of rows and the one that undoes it."""

    order: Tensor
    inverse: Tensor


@dataclass(frozen=True, eq=False)
class Group:
    """Samples of one shape, whose attention is one dense call: `samples` times `tokens` queries.

    remembered: keys of references beside each sample's own; times [N]: places of their tokens in latent time; radius:
    how far a local layer sees, −1 where there is none.
    """

    samples: int
    tokens: int
    remembered: int
    times: Tensor
    radius: int

    @cached_property
    def window(self) -> Tensor | None:
        """The keys [N, N + remembered] that each query sees in a local layer, None for all; flex does without it.

        Video sees video within the radius, and all else; all else sees everything (SPEC §3.4).
        """
        if self.radius < 0:
            return None
        with torch.inference_mode(False):  # a clip's layout may serve a training step as well
            far = (self.times[:, None] - self.times).abs() > self.radius
            return torch.nn.functional.pad(~far, (0, self.remembered), value=True)


@dataclass(frozen=True, eq=False)
class Plan:
    """How the rows of a stream and of its memory form samples.

    queries brings the S rows of the stream, and keys those of the stream followed by the memory's M, into the
    order of the groups, sample after sample; None where they stand so already.
    """

    groups: tuple[Group, ...]
    queries: Reorder | None
    keys: Reorder | None
    radius: int
    times: Tensor

    def split(self, rows: Tensor, memory: bool) -> list[Tensor]:
        """Ordered rows [S, ...], with a memory [S + M, ...], as one [B, N, ...] for each group."""
        lengths = [g.tokens + g.remembered if memory else g.tokens for g in self.groups]
        parts = rows.split([g.samples * n for g, n in zip(self.groups, lengths, strict=True)])
        return [part.unflatten(0, (-1, n)) for part, n in zip(parts, lengths, strict=True)]

    @cached_property
    def blocks(self) -> dict[bool, Any]:
        """FlexAttention's masks over all samples at once, for local layers and for the others."""
        from torch.nn.attention.flex_attention import create_block_mask

        device = self.times.device
        asked, seen = self._owners(False, device), self._owners(True, device)
        near = [torch.nan_to_num(t, nan=torch.inf) for t in (self._ordered(False), self._ordered(True))]

        def same_sample(_b: Tensor, _h: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return asked[query] == seen[key]

        def in_window(b: Tensor, h: Tensor, query: Tensor, key: Tensor) -> Tensor:
            q, k = near[0][query], near[1][key]
            return same_sample(b, h, query, key) & (q.isinf() | k.isinf() | ((q - k).abs() <= self.radius))

        masks = {True: in_window, False: same_sample} if self.radius >= 0 else {False: same_sample}
        size = (None, None, len(asked), len(seen))
        return {local: create_block_mask(mask, *size, device=device) for local, mask in masks.items()}

    def _owners(self, memory: bool, device: torch.device) -> Tensor:
        counts = [g.tokens + g.remembered * memory for g in self.groups for _ in range(g.samples)]
        return torch.arange(len(counts), device=device).repeat_interleave(torch.tensor(counts, device=device))

    def _ordered(self, memory: bool) -> Tensor:
        reorder = self.keys if memory else self.queries
        rows = self.times if memory else self.times[: sum(g.samples * g.tokens for g in self.groups)]
        return rows if reorder is None else rows[reorder.order]


@dataclass(frozen=True, eq=False)
class Layout:
    """What every layer needs to know of a stream: its experts' rows, its samples, its rotary positions."""

    sizes: tuple[int, int, int]
    plan: Plan
    cos: Tensor
    sin: Tensor
    backend: str


def rotary(coords: Tensor, bands: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine [S, 3·bands] of the rotary angles of coordinates [S, 9] (SPEC §1.5)."""
    place, size, reference = coords.float().split(3, dim=1)
    centre = (size - 1) / 2
    centre = torch.cat([torch.zeros_like(centre[:, :1]), centre[:, 1:]], dim=1)
    single = size == 1
    scale = torch.where(single, 1.0, (reference - 1) / (size - 1).masked_fill(single, 1))
    angles = ((place - centre) * scale)[..., None] * bands
    return angles.flatten(1).cos(), angles.flatten(1).sin()


@torch.compiler.disable
def layout(
    stream: Stream,
    bands: Tensor,
    remembered: tuple[int, ...] = (),
    owners: tuple[int, ...] = (),
    radius: int = -1,
    backend: str = "sdpa",
) -> Layout:
    """Lay a stream out.

    remembered: tokens of each picture in the memory; owners: the sample that each belongs to; radius: latent
    frames that a local layer sees to either side, −1 for no such layers.
    Errors: ValueError for an unknown backend, or owners that do not fit the memory or the samples.
    """
    if backend not in BACKENDS:
        raise ValueError(f"there is no attention backend {backend!r}; choose one of {BACKENDS}")
    key = (remembered, owners, radius)
    with torch.inference_mode(False):
        if key not in stream.plans:
            stream.plans[key] = _plan(stream, *key)
        return Layout(stream.sizes, stream.plans[key], *rotary(stream.coords, bands), backend)


def _plan(stream: Stream, remembered: tuple[int, ...], owners: tuple[int, ...], radius: int) -> Plan:
    if len(owners) != len(remembered) or any(not 0 <= o < len(stream.counts) for o in owners):
        raise ValueError(
            f"a memory of {len(remembered)} pictures has the owners {owners} among {len(stream.counts)} samples; "
            "pass the memory of this batch's own references"
        )
    device, total = stream.coords.device, sum(stream.lengths)
    own = stream.order.split(list(stream.lengths))
    pictures = torch.arange(total, total + sum(remembered), device=device).split(list(remembered))
    kept = defaultdict(list)
    for owner, rows in zip(owners, pictures, strict=True):
        kept[owner].append(rows)
    alike = defaultdict(list)
    for sample, length in enumerate(stream.lengths):
        shape = (stream.counts[sample], stream.grids[sample]) if radius >= 0 else length
        alike[shape, sum(map(len, kept[sample]))].append(sample)
    # places in latent time, NaN where a token has none that a window could ask for
    times = torch.where(stream.modality == Modality.VIDEO, stream.coords[:, 0], torch.nan)
    times = torch.nn.functional.pad(times, (0, sum(remembered)), value=torch.nan)
    groups = []
    for (_, extra), samples in alike.items():
        rows = own[samples[0]]
        groups.append(Group(len(samples), len(rows), extra, times[rows], radius))
    samples = [sample for members in alike.values() for sample in members]
    return Plan(
        tuple(groups),
        _reorder(torch.cat([own[sample] for sample in samples])),
        _reorder(torch.cat([rows for sample in samples for rows in (own[sample], *kept[sample])])),
        radius,
        times,
    )


def _reorder(order: Tensor) -> Reorder | None:
    inverse = torch.argsort(order)
    return (
        None if torch.equal(order, inverse) and bool((order.diff() == 1).all()) else Reorder(order, inverse)
    )


def attend(q: Tensor, k: Tensor, v: Tensor, layout: Layout, memory: KeysValues | None, local: bool) -> Tensor:
    """Attention of each sample over itself and what it remembers. q [S, H, d], k v [S, G, d] to [S, H, d]."""
    plan = layout.plan
    if memory is not None:
        k, v = torch.cat([k, memory[0].to(k.dtype)]), torch.cat([v, memory[1].to(v.dtype)])
    if plan.queries is not None:
        q = permute(q, *plan.queries)
    if plan.keys is not None:
        k, v = permute(k, *plan.keys), permute(v, *plan.keys)
    mixed = _flex(q, k, v, plan, local) if layout.backend == "flex" else _grouped(q, k, v, layout, local)
    return mixed if plan.queries is None else permute(mixed, *reversed(plan.queries))


def _grouped(q: Tensor, k: Tensor, v: Tensor, layout: Layout, local: bool) -> Tensor:
    plan, kernel = layout.plan, _sdpa if layout.backend == "sdpa" else _dense
    parts = zip(plan.groups, plan.split(q, False), plan.split(k, True), plan.split(v, True), strict=True)
    mixed = [kernel(*qkv, group.window if local else None).flatten(0, 1) for group, *qkv in parts]
    return mixed[0] if len(mixed) == 1 else torch.cat(mixed)


def _sdpa(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None) -> Tensor:
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and torch.is_grad_enabled():
        # a CPU's backward pass in bfloat16 is the slower one, for samples of a few tokens tenfold
        with torch.autocast("cpu", enabled=False):
            return _sdpa(q.float(), k.float(), v.float(), seen).to(q.dtype)
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


def _flex(q: Tensor, k: Tensor, v: Tensor, plan: Plan, local: bool) -> Tensor:
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))
    mask = plan.blocks[local and plan.radius >= 0]
    return _flex_kernel(q.is_cuda)(q, k, v, block_mask=mask, enable_gqa=True)[0].transpose(0, 1)


@cache
def _flex_kernel(compiled: bool) -> Callable:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention) if compiled else flex_attention
