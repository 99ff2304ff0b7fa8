"""How much of a clip survives a tokenizer.

B clips, F frames, S samples, K mel bands
"""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from horsekit.tokenizers import AudioTokenizer, VideoTokenizer

_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2
_WINDOWS, _MELS = (2048, 512), (150, 80)  # of the distances published for DAC and EnCodec (arXiv 2306.06546)
_FLOOR = 1e-5
_RISE, _SILENCE = 10.0, -50.0  # dB
_SPAN, _APART, _NEAR = 20, 30, 50  # ms


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
    """The round trip of clips [B, F, H, W, 3] uint8 by a tokenizer on any device."""
    made = torch.cat([_round_trip(tokenizer, part) for part in frames.split(8)])
    return {
        "psnr": psnr(made, frames),
        "ssim": ssim(made, frames),
        "gradient_ratio": gradient_ratio(made, frames),
        "flicker_ratio": flicker_ratio(made, frames),
    }


def si_sdr(made: Tensor, true: Tensor) -> float:
    """Scale-invariant signal-to-distortion ratio in dB, mean over waveforms [B, S] (arXiv 1811.02508)."""
    scale = (made * true).sum(1) / true.square().sum(1).clamp(min=1e-9)
    target = scale[:, None] * true
    noise = (made - target).square().sum(1).clamp(min=1e-9)
    return (10 * (target.square().sum(1).clamp(min=1e-9) / noise).log10()).mean().item()


def stft_distance(made: Tensor, true: Tensor) -> float:
    """L1 of magnitudes plus L1 of their log10 squares, summed over two window lengths; waveforms [B, S]."""
    return sum(_spectral_distance(_magnitudes(made, n), _magnitudes(true, n)) for n in _WINDOWS)


def mel_distance(made: Tensor, true: Tensor, sample_rate: int) -> float:
    """As stft_distance, of magnitudes gathered in 150 and 80 mel bands."""
    total = 0.0
    for window, bands in zip(_WINDOWS, _MELS, strict=True):
        weights = mel_weights(window, bands, sample_rate)
        total += _spectral_distance(_magnitudes(made, window) @ weights, _magnitudes(true, window) @ weights)
    return total


def _magnitudes(waveform: Tensor, window: int) -> Tensor:
    shape = torch.hann_window(window)
    spectra = torch.stft(waveform, window, window // 4, window=shape, return_complex=True)
    return spectra.abs().transpose(1, 2)


def _spectral_distance(made: Tensor, true: Tensor) -> float:
    logs = [x.clamp(min=_FLOOR).square().log10() for x in (made, true)]
    return ((made - true).abs().mean() + (logs[0] - logs[1]).abs().mean()).item()


@cache
def mel_weights(window: int, bands: int, sample_rate: int) -> Tensor:
    """Slaney's mel filters of unit area, [window / 2 + 1, K]: linear to 1 kHz, logarithmic above."""
    step = math.log(6.4) / 27
    top = sample_rate / 2
    mels = torch.linspace(
        0, top * 3 / 200 if top < 1000 else 15 + math.log(top / 1000) / step, bands + 2
    ).double()
    edges = torch.where(mels < 15, mels * 200 / 3, 1000 * ((mels - 15) * step).exp())
    bins = torch.linspace(0, top, window // 2 + 1, dtype=torch.float64)[:, None]
    rise = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return (torch.minimum(rise, fall).clamp(min=0) * 2 / (edges[2:] - edges[:-2])).float()


def onsets(waveform: Tensor, sample_rate: int) -> Tensor:
    """Where sounds set in, [B, ms] bool: loudness rises by 10 dB or more from the 20 ms before to the 20 ms after.

    Of the places within 30 ms of each other the one where it rises most; what lies 50 dB under the loudest is silence.
    """
    # of 4 ms, in steps of 1 ms
    power = F.avg_pool1d(waveform[:, None].square(), sample_rate // 250, sample_rate // 1000)
    silence = 10 ** (_SILENCE / 10)
    level = 10 * (power / power.amax(2, keepdim=True).clamp(min=1e-12) + silence).log10()
    around = F.avg_pool1d(F.pad(level, (_SPAN, _SPAN), mode="replicate"), _SPAN, 1)
    rise = (around[..., _SPAN:] - around[..., :-_SPAN])[..., : level.shape[2]]
    return ((rise == F.max_pool1d(rise, 2 * _APART + 1, 1, _APART)) & (rise >= _RISE))[:, 0]


def onset_error(made: Tensor, true: Tensor, sample_rate: int) -> tuple[float, float]:
    """How far off onsets are in ms, and the share of them that is found again (F1).

    Each onset is one other's at most, and the nearest within 50 ms, as in MIREX. NaN, where there are none.
    """
    off, count = [], 0
    for line in zip(onsets(made, sample_rate), onsets(true, sample_rate), strict=True):
        found, there = ({*moments.nonzero()[:, 0].tolist()} for moments in line)
        count += len(found) + len(there)
        for distance, a, b in sorted((abs(a - b), a, b) for a in found for b in there if abs(a - b) <= _NEAR):
            if a in found and b in there:
                found.remove(a)
                there.remove(b)
                off.append(distance)
    return sum(off) / len(off) if off else math.nan, 2 * len(off) / count if count else math.nan


def envelope_correlation(made: Tensor, true: Tensor) -> float:
    """Correlation of 20 ms loudness in 5 ms hops, waveforms [B, S] at 16 kHz."""
    loud = [F.avg_pool1d(x[:, None].square(), 320, 80)[:, 0].sqrt() for x in (made, true)]
    a, b = (x - x.mean(1, keepdim=True) for x in loud)
    return ((a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp(min=1e-9)).mean().item()


@torch.inference_mode()
def audio_fidelity(tokenizer: AudioTokenizer, waveforms: Tensor) -> dict[str, float]:
    """The round trip of waveforms [B, S] by a tokenizer on any device."""
    made = _round_trip(tokenizer, waveforms)[:, : waveforms.shape[1]]
    rate = tokenizer.spec.sample_rate
    off, found = onset_error(made, waveforms, rate)
    return {
        "mel_distance": mel_distance(made, waveforms, rate),
        "stft_distance": stft_distance(made, waveforms),
        "si_sdr": si_sdr(made, waveforms),
        "onset_error_ms": off,
        "onsets_found": found,
        "envelope_correlation": envelope_correlation(made, waveforms),
    }


def _round_trip(tokenizer: AudioTokenizer | VideoTokenizer, media: Tensor) -> Tensor:
    return tokenizer.decode(tokenizer.encode(media.to(next(tokenizer.buffers()).device))).to(media.device)
