"""What can be told of a file without knowing what it should show.

F frames, H W pixels
"""

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from horsekit.dataset.folder import QUIET, loudness
from horsekit.media import Clip
from horsekit.metrics import sync_of


def blur_effect(frames: Tensor, taps: int = 9) -> float:
    """How blurred frames [F, H, W, 3] are, 0 to 1: how little they change when blurred again (Crete et al. 2007)."""
    grey = rearrange(frames.float().mean(-1), "F H W -> F 1 H W")
    effects = []
    for axis in (2, 3):
        kernel = torch.full((1, 1, taps, 1) if axis == 2 else (1, 1, 1, taps), 1 / taps)
        padding = (0, 0, taps // 2, taps // 2) if axis == 2 else (taps // 2, taps // 2, 0, 0)
        again = functional.conv2d(functional.pad(grey, padding, mode="replicate"), kernel)
        before, after = grey.diff(dim=axis).abs(), again.diff(dim=axis).abs()
        lost = (before - after).clamp(min=0).sum()
        effects.append(((before.sum() - lost) / before.sum().clamp(min=1e-6)).item())
    return max(effects)


def difference_hash(picture: Tensor) -> int:
    """64 bits: where a picture [H, W, 3], eight by nine cells large, grows brighter from left to right."""
    grey = rearrange(picture.float().mean(-1), "H W -> 1 1 H W")
    small = functional.interpolate(grey, (8, 9), mode="area")[0, 0]
    bits = (small[:, 1:] > small[:, :-1]).flatten().tolist()
    return sum(bit << k for k, bit in enumerate(bits))


def heard(clip: Clip) -> dict[str, float | None]:
    """Loudness, silence and offset of a clip with sound."""
    blocks = clip.waveform[:, 0].unfold(0, clip.sample_rate // 50, clip.sample_rate // 50)
    levels = 20 * blocks.square().mean(1).sqrt().clamp(min=1e-6).log10()
    return {
        "loudness": loudness(clip.waveform),
        "silence": (levels < QUIET).float().mean().item(),
        "offset": sync_of(clip).offset,
    }
