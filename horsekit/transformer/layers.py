"""The parts of a layer (SPEC §1.2–1.6).

S tokens, D width, H heads, G key/value heads, d head width, M experts
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from horsekit.transformer.attention import Layout, attend
from horsekit.transformer.config import TransformerConfig

EPSILON = 1e-6
Sizes = tuple[int, int, int]


def rms_norm(x: Tensor, gain: Tensor) -> Tensor:
    """x · rsqrt(mean(x²) + ε) · gain, over the last axis."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON) * gain


def swiglu7(x: Tensor) -> Tensor:
    """Gate in the even columns, value in the odd ones, both held within 7 (SPEC §1.4). [S, 2n] to [S, n]."""
    gate, value = x[..., ::2].clamp(max=7), x[..., 1::2].clamp(-7, 7)
    return gate * torch.sigmoid(1.702 * gate) * (value + 1)


def gelu7(x: Tensor) -> Tensor:
    """x·σ(1.702 x) of x held below 7 (SPEC §1.4)."""
    x = x.clamp(max=7)
    return x * torch.sigmoid(1.702 * x)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions on the first 2·r of d dims, pairing i with i + r (SPEC §1.5). x [S, H, d], cos [S, r]."""
    r = cos.shape[-1]
    first, second, rest = x[..., :r], x[..., r : 2 * r], x[..., 2 * r :]
    cos, sin = cos[:, None], sin[:, None]
    return torch.cat([first * cos - second * sin, second * cos + first * sin, rest], dim=-1)


class RMSNorm(nn.Module):
    """RMS norm with gain 1 + weight; one gain vector per expert, rows grouped by modality."""

    def __init__(self, width: int, experts: int = 1) -> None:
        super().__init__()
        self.experts = experts
        self.weight = nn.Parameter(torch.zeros(width * experts))

    def forward(self, x: Tensor, sizes: Sizes | None = None) -> Tensor:
        if self.experts == 1:
            return rms_norm(x, 1 + self.weight)
        gains = (1 + self.weight).chunk(self.experts)
        return torch.cat([rms_norm(part, gain) for part, gain in zip(x.split(sizes), gains, strict=True)])


class ExpertLinear(nn.Module):
    """A bias-free linear map with one weight per modality, stacked along the rows of `weight` (SPEC §1.6)."""

    def __init__(self, width_in: int, width_out: int, experts: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.experts = experts
        self.weight = nn.Parameter(torch.empty(width_out * experts, width_in, dtype=dtype))

    def forward(self, x: Tensor, sizes: Sizes) -> Tensor:
        parts = zip(x.split(sizes), self.weight.chunk(self.experts), strict=True)
        return torch.cat([F.linear(part, weight) for part, weight in parts])


class SharedLinear(nn.Linear):
    """One bias-free linear map for all modalities."""

    def __init__(self, width_in: int, width_out: int, dtype: torch.dtype) -> None:
        super().__init__(width_in, width_out, bias=False, dtype=dtype)

    def reset_parameters(self) -> None:
        """Left to init_weights: one place initialises all."""

    def forward(self, x: Tensor, sizes: Sizes | None = None) -> Tensor:
        return F.linear(x, self.weight)


def linear(width_in: int, width_out: int, experts: int, dtype: torch.dtype) -> nn.Module:
    """A SharedLinear for one expert, else an ExpertLinear."""
    if experts == 1:
        return SharedLinear(width_in, width_out, dtype)
    return ExpertLinear(width_in, width_out, experts, dtype)


class Attention(nn.Module):
    """Gated self-attention over each sample, with keys of its references beside its own (SPEC §1.3)."""

    def __init__(self, config: TransformerConfig, experts: int, local: bool) -> None:
        super().__init__()
        heads, groups, d = config.num_heads, config.num_query_groups, config.head_dim
        dtype = getattr(torch, config.params_dtype)
        self.widths = (heads * d, groups * d, groups * d, heads)
        self.head_dim = d
        self.local = local
        self.pre_norm = RMSNorm(config.hidden_size, experts)
        self.linear_qkv = linear(config.hidden_size, sum(self.widths), experts, dtype)
        self.q_norm = RMSNorm(d, experts)
        self.k_norm = RMSNorm(d, experts)
        self.linear_proj = linear(heads * d, config.hidden_size, experts, dtype)

    def forward(
        self, x: Tensor, layout: Layout, memory: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """x [S, D] fp32 to its update, and the keys and values [S, G, d] that others may attend to."""
        sizes, dtype = layout.sizes, self.linear_qkv.weight.dtype
        u = self.linear_qkv(self.pre_norm(x, sizes).to(dtype), sizes).float()
        q, k, v, gate = u.split(self.widths, dim=-1)
        q, k, v = (part.unflatten(-1, (-1, self.head_dim)) for part in (q, k, v))
        q = rotate(self.q_norm(q, sizes), layout.cos, layout.sin).to(dtype)
        k = rotate(self.k_norm(k, sizes), layout.cos, layout.sin).to(dtype)
        v = v.to(dtype)
        mixed = attend(q, k, v, layout, memory, self.local)
        mixed = mixed.float() * torch.sigmoid(gate)[..., None]
        return self.linear_proj(mixed.flatten(1).to(dtype), sizes).float(), (k, v)


class MLP(nn.Module):
    """Feed-forward part with SwiGLU7 or GELU7 (SPEC §1.3, §1.4)."""

    def __init__(self, config: TransformerConfig, layer: int, experts: int) -> None:
        super().__init__()
        inner, dtype = config.ffn_size(layer), getattr(torch, config.params_dtype)
        self.gelu = layer in config.gelu7_layers
        self.pre_norm = RMSNorm(config.hidden_size, experts)
        self.up_gate_proj = linear(config.hidden_size, inner if self.gelu else 2 * inner, experts, dtype)
        self.down_proj = linear(inner, config.hidden_size, experts, dtype)

    def forward(self, x: Tensor, sizes: Sizes) -> Tensor:
        dtype = self.up_gate_proj.weight.dtype
        hidden = self.up_gate_proj(self.pre_norm(x, sizes).to(dtype), sizes).float()
        hidden = gelu7(hidden) if self.gelu else swiglu7(hidden)
        return self.down_proj(hidden.to(dtype), sizes).float()


class Layer(nn.Module):
    """Attention, then the feed-forward part, each added to the fp32 residual."""

    def __init__(self, config: TransformerConfig, index: int) -> None:
        super().__init__()
        experts = 3 if index in config.mm_layers else 1
        self.attention = Attention(config, experts, index in config.local_attn_layers)
        self.mlp = MLP(config, index, experts)

    def forward(
        self, x: Tensor, layout: Layout, memory: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        update, kept = self.attention(x, layout, memory)
        x = x + update
        return x + self.mlp(x, layout.sizes), kept


def index_positions(count: int, width: int, device: torch.device) -> Tensor:
    """Sinusoids of the index of a word, [count, width]."""
    half = width // 2
    frequencies = torch.exp(torch.arange(half, device=device) * (-math.log(10_000.0) / half))
    angles = torch.arange(count, device=device)[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)
