"""The element-wise parts of a layer, with their gradients written out (SPEC §1.3–1.5).

Autograd would keep and pass over several times as many intermediates, which on a CPU costs as much time as
the attention does.

S tokens, D width, H heads, d head width, E experts
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

EPSILON = 1e-6
SLOPE = 1.702
LIMIT = 7.0
BLOCK = 512
inside = torch.ops.aten.hardtanh_backward  # the gradient where low < x < high, else 0


def rms_norm(x: Tensor, gains: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """x · rsqrt(mean(x²) + ε) · gain over the last axis; `sizes` rows of x to each of the gains [E, D]."""
    return _RMSNorm.apply(x, gains, sizes)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions on the first 2r of d dims, pairing i with i + r. x [S, H, d]; cos, sin [S, r]."""
    return _Rotate.apply(x, cos, sin)


def swiglu7(x: Tensor) -> Tensor:
    """g·σ(1.702 g)·(l + 1), g the even columns held below 7, l the odd ones within ±7. [S, 2n] to [S, n].

    Whatever the type of x, the arithmetic is float32.
    """
    return _SwiGLU7.apply(x)


def gelu7(x: Tensor) -> Tensor:
    """x·σ(1.702 x) of x held below 7, in float32 arithmetic."""
    return _GELU7.apply(x)


def permute(x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
    """Rows of x in another order; `inverse` undoes `order`, so that the gradient is a permutation too."""
    return _Permute.apply(x, order, inverse)


class _RMSNorm(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gains: Tensor, sizes: tuple[int, ...]) -> Tensor:
        scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON)
        ctx.save_for_backward(x, scale, gains)
        ctx.sizes = sizes
        y = x * scale
        for part, gain in zip(y.split(sizes), gains.unbind(), strict=True):
            part.mul_(gain)
        return y

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, None]:
        x, scale, gains = ctx.saved_tensors
        unit = x * scale
        product = upstream * unit
        d_x = torch.empty_like(unit)
        d_gains, inner = [], []
        parts = zip(*(t.split(ctx.sizes) for t in (product, upstream, d_x)), strict=True)
        for gain, (own, incoming, outgoing) in zip(gains.unbind(), parts, strict=True):
            d_gains.append(own.flatten(0, -2).sum(0))
            inner.append(own @ gain)
            torch.mul(incoming, gain, out=outgoing)
        mean = torch.cat(inner)[..., None] / -x.shape[-1]
        return d_x.addcmul_(unit, mean).mul_(scale), torch.stack(d_gains), None


class _Rotate(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _rotated(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _rotated(upstream, cos, -sin), None, None


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    r = cos.shape[-1]
    cos, sin = cos[:, None], sin[:, None]
    first, second = x[..., :r], x[..., r : 2 * r]
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    y[..., :r] = first * cos - second * sin
    y[..., r : 2 * r] = second * cos + first * sin
    y[..., 2 * r :] = x[..., 2 * r :]
    return y


class _SwiGLU7(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        y = x.new_empty(*x.shape[:-1], x.shape[-1] // 2)
        for part, out in _blocks(x, y):
            gate, value, sigmoid = _gates(part)
            out.copy_(gate.mul_(sigmoid).mul_(value))
        return y

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        d_x = torch.empty_like(x, memory_format=torch.contiguous_format)
        for part, incoming, out in _blocks(x, upstream, d_x):
            gate, value, sigmoid = _gates(part)
            swish, incoming = gate * sigmoid, incoming.to(gate.dtype)
            slope = _slope(sigmoid, swish).mul_(value).mul_(incoming)
            out[..., ::2] = inside(slope, gate, -torch.inf, LIMIT)
            out[..., 1::2] = inside(swish.mul_(incoming), value, 1 - LIMIT, 1 + LIMIT)
        return d_x


def _gates(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gate, value + 1 and the gate's sigmoid, in float32 or better."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    gate, value = x[..., ::2].clamp(max=LIMIT), x[..., 1::2].clamp(-LIMIT, LIMIT).add_(1)
    return gate, value, (gate * SLOPE).sigmoid_()


def _blocks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The tensors a block of rows at a time: on a CPU what is made of a block then stays in the cache."""
    rows = BLOCK if tensors[0].device.type == "cpu" else len(tensors[0])
    return zip(*(tensor.split(rows) for tensor in tensors), strict=True)


class _GELU7(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        y = torch.empty_like(x, memory_format=torch.contiguous_format)
        for part, out in _blocks(x, y):
            gate, sigmoid = _held(part)
            out.copy_(gate.mul_(sigmoid))
        return y

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        d_x = torch.empty_like(x, memory_format=torch.contiguous_format)
        for part, incoming, out in _blocks(x, upstream, d_x):
            gate, sigmoid = _held(part)
            slope = _slope(sigmoid, gate * sigmoid).mul_(incoming)
            out.copy_(inside(slope, gate, -torch.inf, LIMIT))
        return d_x


def _held(x: Tensor) -> tuple[Tensor, Tensor]:
    """The gate and its sigmoid, in float32 or better."""
    gate = x.to(torch.promote_types(x.dtype, torch.float32)).clamp(max=LIMIT)
    return gate, (gate * SLOPE).sigmoid_()


def _slope(sigmoid: Tensor, swish: Tensor) -> Tensor:
    """The derivative σ + 1.702·(s − s·σ) of s = g·σ(1.702 g)."""
    return torch.addcmul(swish, swish, sigmoid, value=-1).mul_(SLOPE).add_(sigmoid)


class _Permute(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return x.index_select(0, order)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (inverse,) = ctx.saved_tensors
        return upstream.index_select(0, inverse), None, None
