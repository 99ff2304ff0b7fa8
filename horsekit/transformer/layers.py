"""The parts of a layer (SPEC §1.2–1.6).

S tokens, D width, H heads, G key/value heads, d head width
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from horsekit.transformer.attention import KeysValues, Layout, attend
from horsekit.transformer.config import TransformerConfig
from horsekit.transformer.functions import gelu7, rms_norm, rotate, swiglu7

Sizes = tuple[int, int, int]


class RMSNorm(nn.Module):
    """RMS norm with gain 1 + weight; one gain vector per expert, rows grouped by modality."""

    def __init__(self, width: int, experts: int = 1) -> None:
        super().__init__()
        self.experts = experts
        self.weight = nn.Parameter(torch.zeros(width * experts))

    def forward(self, x: Tensor, sizes: Sizes | None = None) -> Tensor:
        """x [S, ..., width], normed over the last axis."""
        gains = (self.weight + 1).view(self.experts, -1)
        return rms_norm(x, gains, (len(x),) if self.experts == 1 else sizes)


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

    def __init__(self, config: TransformerConfig, experts: int, local: bool, dtype: torch.dtype) -> None:
        super().__init__()
        heads, groups, d = config.num_heads, config.num_query_groups, config.head_dim
        self.widths = (heads * d, groups * d, groups * d, heads)
        self.head_dim = d
        self.local = local
        self.pre_norm = RMSNorm(config.hidden_size, experts)
        self.linear_qkv = linear(config.hidden_size, sum(self.widths), experts, dtype)
        self.q_norm = RMSNorm(d, experts)
        self.k_norm = RMSNorm(d, experts)
        self.linear_proj = linear(heads * d, config.hidden_size, experts, dtype)

    def project(self, x: Tensor, layout: Layout) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """x [S, D] to queries [S, H, d], keys and values [S, G, d] and gates [S, H] before the sigmoid."""
        sizes, dtype = layout.sizes, self.linear_qkv.weight.dtype
        u = self.linear_qkv(self.pre_norm(x, sizes).to(dtype), sizes)
        dtype = u.dtype  # bfloat16 under autocast, whatever the weights are
        q, k, v, gate = u.float().split(self.widths, dim=-1)
        q, k, v = (part.unflatten(-1, (-1, self.head_dim)) for part in (q, k, v))
        q = rotate(self.q_norm(q, sizes), layout.cos, layout.sin)
        k = rotate(self.k_norm(k, sizes), layout.cos, layout.sin)
        return q.to(dtype), k.to(dtype), v.to(dtype), gate

    def forward(self, x: Tensor, layout: Layout, memory: KeysValues | None) -> tuple[Tensor, KeysValues]:
        """x [S, D] fp32 to its update, and the keys and values [S, G, d] that others may attend to."""
        q, k, v, gate = self.project(x, layout)
        mixed = attend(q, k, v, layout, memory, self.local).float() * torch.sigmoid(gate)[..., None]
        return self.linear_proj(mixed.flatten(1).to(q.dtype), layout.sizes).float(), (k, v)


class MLP(nn.Module):
    """Feed-forward part with SwiGLU7 or GELU7 (SPEC §1.3, §1.4)."""

    def __init__(self, config: TransformerConfig, layer: int, experts: int, dtype: torch.dtype) -> None:
        super().__init__()
        inner = config.ffn_size(layer)
        self.activation = gelu7 if layer in config.gelu7_layers else swiglu7
        width_up = inner if layer in config.gelu7_layers else 2 * inner
        self.pre_norm = RMSNorm(config.hidden_size, experts)
        self.up_gate_proj = linear(config.hidden_size, width_up, experts, dtype)
        self.down_proj = linear(inner, config.hidden_size, experts, dtype)

    def forward(self, x: Tensor, sizes: Sizes) -> Tensor:
        dtype = self.up_gate_proj.weight.dtype
        hidden = self.up_gate_proj(self.pre_norm(x, sizes).to(dtype), sizes)
        return self.down_proj(self.activation(hidden), sizes).float()


class Layer(nn.Module):
    """Attention, then the feed-forward part, each added to the fp32 residual."""

    def __init__(self, config: TransformerConfig, index: int, dtype: torch.dtype) -> None:
        super().__init__()
        experts = 3 if index in config.mm_layers else 1
        self.attention = Attention(config, experts, index in config.local_attn_layers, dtype)
        self.mlp = MLP(config, index, experts, dtype)

    def forward(self, x: Tensor, layout: Layout, memory: KeysValues | None) -> tuple[Tensor, KeysValues]:
        """x [S, D] fp32 to the next layer's, and this layer's keys and values."""
        update, kept = self.attention(x, layout, memory)
        x = x + update
        return x + self.mlp(x, layout.sizes), kept


class SlotEmbedding(nn.Embedding):
    """A vector for each slot from 1; slot 0, no subject, adds nothing."""

    def forward(self, slots: Tensor) -> Tensor:
        return F.embedding(slots, F.pad(self.weight[1:], (0, 0, 1, 0)))


def index_positions(count: int, width: int, device: torch.device) -> Tensor:
    """Sinusoids of the index of a word, [count, width]."""
    half = width // 2
    frequencies = torch.exp(torch.arange(half, device=device) * (-math.log(10_000.0) / half))
    angles = torch.arange(count, device=device)[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)
