"""How much of a clip survives a tokenizer.

B clips, F frames, S samples
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from horsekit.tokenizers import AudioTokenizer, VideoTokenizer

_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2
_FFTS = (2048, 1024, 512, 256)


def psnr(made: Tensor, true: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of uint8 pixels."""
    error = (made.float() - true.float()).square().mean().item()
    return 10 * math.log10(255**2 / max(error, 1e-9))


def ssim(made: Tensor, true: Tensor) -> float:
    """Structural similarity of luminance with an 8 × 8 window, over frames [.., H, W, 3] uint8 (Wang 2004)."""
    weights = torch.tensor([0.299, 0.587, 0.114])
    x, y = ((part.float() / 255 @ weights).flatten(0, -3)[:, None] for part in (made, true))
    mean = lambda z: F.avg_pool2d(z, 8, 1)  # noqa: E731
    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    score = (2 * mx * my + _SSIM_C1) * (2 * cov + _SSIM_C2)
    return (score / ((mx**2 + my**2 + _SSIM_C1) * (vx + vy + _SSIM_C2))).mean().item()


def gradient_ratio(made: Tensor, true: Tensor) -> float:
    """Energy of neighbour differences, made over true: below 1 is blur, above 1 is noise."""

    def energy(x: Tensor) -> Tensor:
        x = x.float()
        return x.diff(dim=-2).square().mean() + x.diff(dim=-3).square().mean()

    return (energy(made) / energy(true)).item()


def flicker_ratio(made: Tensor, true: Tensor) -> float:
    """Energy of frame differences [.., F, H, W, 3], made over true."""
    return (made.float().diff(dim=-4).square().mean() / true.float().diff(dim=-4).square().mean()).item()


@torch.inference_mode()
def video_fidelity(tokenizer: VideoTokenizer, frames: Tensor) -> dict[str, float]:
    """The round trip of clips [B, F, H, W, 3] uint8."""
    made = torch.cat([tokenizer.decode(tokenizer.encode(part)) for part in frames.split(8)])
    return {
        "psnr": psnr(made, frames),
        "ssim": ssim(made, frames),
        "gradient_ratio": gradient_ratio(made, frames),
        "flicker_ratio": flicker_ratio(made, frames),
    }


def stft_distance(made: Tensor, true: Tensor) -> float:
    """Mean over four resolutions of the L1 distance of log10 magnitudes of waveforms [B, S]."""
    total = 0.0
    for size in _FFTS:
        window = torch.hann_window(size)
        a, b = (
            torch.stft(x, size, size // 4, window=window, return_complex=True).abs().clamp(min=1e-4).log10()
            for x in (made, true)
        )
        total += (a - b).abs().mean().item()
    return total / len(_FFTS)


def envelope_correlation(made: Tensor, true: Tensor) -> float:
    """Correlation of 20 ms loudness in 5 ms hops, waveforms [B, S] at 16 kHz."""
    loud = [F.avg_pool1d(x[:, None].square(), 320, 80)[:, 0].sqrt() for x in (made, true)]
    a, b = (x - x.mean(1, keepdim=True) for x in loud)
    return ((a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp(min=1e-9)).mean().item()


@torch.inference_mode()
def audio_fidelity(tokenizer: AudioTokenizer, waveforms: Tensor) -> dict[str, float]:
    """The round trip of waveforms [B, S]."""
    made = tokenizer.decode(tokenizer.encode(waveforms))[:, : waveforms.shape[1]]
    return {
        "stft_distance": stft_distance(made, waveforms),
        "envelope_correlation": envelope_correlation(made, waveforms),
    }
