"""The bfloat16 arithmetic that the published outputs in the parity folders were made with, on any machine.

Between two machines sums differ in their last bit, bfloat16 rounding turns that into a step of 0.4%, and a few
layers on two runs of one model differ by as much as bfloat16 costs: about 6e-3. To tell a wrong formula from
that, parity pins the order of the sums to that of a CPU with AVX-512 bfloat16 products: linear maps add
products in pairs, attention is PyTorch's flash kernel with its fast exponential.

S rows, K summed columns, N queries, M keys
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

LANES = 16
KEY_BLOCK = 512
LOG2_E = torch.tensor(0x3FB8AA3B, dtype=torch.int32).view(torch.float32)
# of 1 + f − 2^f for the fractional part f, and the exponent below which the result is 0
POLYNOMIAL = (-0.079204240219773236, -0.22433836478672356, 0.30354260500649682, 0.00010703434948458272)
LOWEST = -87.336544


class PublishedArithmetic(TorchFunctionMode):
    """While active, bfloat16 linear maps and attention on a CPU are summed as in the published outputs."""

    def __torch_function__(
        self, func: Callable, types: Any, args: Sequence = (), kwargs: Mapping | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.linear and args[0].dtype == torch.bfloat16:
            return _paired_product(args[0].float(), args[1].float()).bfloat16()
        if func is F.scaled_dot_product_attention and args[0].dtype == torch.bfloat16:
            return _flash(*args, seen=kwargs.get("attn_mask"))
        return func(*args, **kwargs)


def _paired_product(a: Tensor, b: Tensor, start: Tensor | None = None) -> Tensor:
    """a [..., S, K] times b [..., R, K] transposed, two products of bfloat16 values to each addition."""
    if a.shape[-1] % 2:
        a, b = F.pad(a, (0, 1)), F.pad(b, (0, 1))
    a, b = a.mT.contiguous(), b.mT.contiguous()
    total = torch.zeros(()) if start is None else start
    for k in range(0, a.shape[-2], 2):
        first = a[..., k, :, None] * b[..., k, None, :]
        total = total + (first + a[..., k + 1, :, None] * b[..., k + 1, None, :])
    return total


def _flash(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None) -> Tensor:
    """Attention of q [..., H, N, d] over k, v [..., G, M, d] in blocks of keys; seen [N, M]."""
    repeats = q.shape[-3] // k.shape[-3]
    q, k, v = q.float(), *(x.float().repeat_interleave(repeats, -3) for x in (k, v))
    highest = torch.full((*q.shape[:-1], 1), -torch.inf)
    total, mixed = torch.zeros_like(highest), None
    for start in range(0, k.shape[-2], KEY_BLOCK):
        block = slice(start, start + KEY_BLOCK)
        scores = _paired_product(q, k[..., block, :]) * q.shape[-1] ** -0.5
        if seen is not None:
            scores = scores.masked_fill(~seen[..., block], -torch.inf)
        above = torch.maximum(highest, scores.amax(-1, keepdim=True))
        weights = _weights(scores - above)
        fade = torch.exp(highest - above)
        total = _lane_sum(weights) + fade * total
        mixed = None if mixed is None else mixed * fade
        mixed = _paired_product(weights.bfloat16().float(), v[..., block, :].mT, mixed)
        highest = above
    return (mixed * (1 / total)).bfloat16()


def _weights(x: Tensor) -> Tensor:
    """eˣ, by the fast exponential where a whole vector of lanes is filled."""
    whole = x.shape[-1] // LANES * LANES
    return torch.cat([_fast_exp(x[..., :whole]), x[..., whole:].exp()], dim=-1)


def _fast_exp(x: Tensor) -> Tensor:
    """Malossi, Ineichen, Bekas and Curioni (2015): the exponent's bits written directly, 20 bits accurate."""
    power = x * LOG2_E
    fraction = power - power.floor()
    correction = torch.tensor(POLYNOMIAL[0])
    for coefficient in POLYNOMIAL[1:]:
        correction = _fused(fraction, correction, torch.tensor(coefficient))
    bits = _fused(power - correction, torch.tensor(2.0**23), torch.tensor(127 * 2.0**23))
    return torch.where(x < LOWEST, 0.0, bits.to(torch.int32).view(torch.float32))


def _fused(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """a·b + c with one rounding."""
    return (a.double() * b.double() + c.double()).float()


def _lane_sum(weights: Tensor) -> Tensor:
    """The sum over keys: lanes first, then halves of a vector onto each other, then the rest one by one."""
    whole = weights.shape[-1] // LANES * LANES
    lanes = torch.zeros(*weights.shape[:-1], LANES)
    for start in range(0, whole, LANES):
        lanes = lanes + weights[..., start : start + LANES]
    while lanes.shape[-1] > 1:
        low, high = lanes.chunk(2, dim=-1)
        lanes = low + high
    for rest in weights[..., whole:].unbind(-1):
        lanes = lanes + rest[..., None]
    return lanes
