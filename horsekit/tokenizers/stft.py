"""Short-time spectra of 16 kHz sound, and a waveform out of magnitudes and the slopes of phases.

B clips, S samples, L frames of a spectrum, K bins
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

HOP = 160
FFT = 640
ACROSS = 0.5  # how much a bin's neighbours say of its phase, the bin itself one frame before counting 1
PASSES = 4  # in which neighbours agree
ITERATIONS, MOMENTUM = 2, 0.99
_GAUSSIAN = 0.25645 * FFT**2  # the Gaussian window nearest to a Hann window (Průša 2017, table 1)

Slopes = tuple[Tensor, Tensor]  # how phases turn from a frame to the next, and from a bin to the next


def spectrum(waveform: Tensor, window: Tensor) -> Tensor:
    """Complex spectra [B, L, K] of frames centred in each hop of 160 samples, scaled by the window's sum."""
    padded = F.pad(waveform, ((FFT - HOP) // 2, (FFT - HOP) // 2))
    return torch.fft.rfft(padded.unfold(1, FFT, HOP) * window) / window.sum()


def inverse(spectra: Tensor, window: Tensor) -> Tensor:
    """The waveform [B, 160·L] whose spectra come closest: overlap-add, divided by the windows' energy."""
    frames = torch.fft.irfft(spectra * window.sum(), n=FFT) * window
    count = frames.shape[1]
    size = (1, (count - 1) * HOP + FFT)
    total = F.fold(frames.transpose(1, 2), size, (1, FFT), stride=(1, HOP))[:, 0, 0]
    energy = window.square().expand(1, count, FFT).transpose(1, 2)
    weight = F.fold(energy, size, (1, FFT), stride=(1, HOP))[:, 0, 0]
    margin = (FFT - HOP) // 2
    return (total / weight.clamp(min=1e-3))[:, margin : margin + count * HOP]


def waveform_of(magnitude: Tensor, slopes: Slopes, window: Tensor) -> Tensor:
    """A waveform [B, 160·L] with magnitudes [B, L, K].

    Phases are followed from frame to frame by their slopes; what is left between overlapping frames two rounds of
    fast Griffin–Lim make consistent (Perraudin 2013).
    """
    phases = followed(magnitude, slopes)
    before = torch.zeros_like(phases)
    for _ in range(ITERATIONS):
        consistent = spectrum(inverse(magnitude * phases, window), window)
        phases = _unit(consistent + MOMENTUM * (consistent - before))
        before = consistent
    return inverse(magnitude * phases, window)


def followed(magnitude: Tensor, slopes: Slopes) -> Tensor:
    """Phases [B, L, K] on the unit circle, those of a frame from the frame before and from bin to bin.

    What is loud counts most: phase gradient integration (Průša 2017) in the recurrent form of Masuyama 2020 (arXiv
    2002.05832).
    """
    ahead = torch.polar(magnitude[:, 1:] * magnitude[:, :-1], between(slopes[0], 1))
    upward = torch.polar(ACROSS * magnitude[..., 1:] * magnitude[..., :-1], between(slopes[1], 2))
    generator = torch.Generator().manual_seed(0)
    start = torch.rand(magnitude.shape[2], generator=generator).to(magnitude) * 2 * math.pi
    phases = [torch.polar(torch.ones_like(start), start).expand(len(magnitude), -1)]
    for move, up in zip(ahead.unbind(1), upward[:, 1:].unbind(1), strict=True):
        moved = phases[-1] * move
        agreed = _unit(moved)
        for _ in range(PASSES):
            from_below, from_above = agreed[:, :-1] * up, agreed[:, 1:] * up.conj()
            agreed = _unit(moved + F.pad(from_below, (1, 0)) + F.pad(from_above, (0, 1)))
        phases.append(agreed)
    return torch.stack(phases, dim=1)


def between(slope: Tensor, axis: int) -> Tensor:
    """The slope half-way between neighbours along an axis, which is by how much they differ."""
    count = slope.shape[axis] - 1
    return (slope.narrow(axis, 0, count) + slope.narrow(axis, 1, count)) / 2


def phase_slopes(logs: Tensor) -> Slopes:
    """How the phases of log magnitudes [B, L, K] turn, in radians.

    As of a Gaussian window, whose phase and log magnitude are an analytic function of time and frequency (Průša
    2017, eq. 9 and 10).
    """
    over_bins = F.pad(logs[..., 2:] - logs[..., :-2], (1, 1)) / 2
    over_frames = F.pad(logs[:, 2:] - logs[:, :-2], (0, 0, 1, 1)) / 2
    turn = 2 * math.pi * HOP / FFT * torch.arange(logs.shape[2], device=logs.device)
    in_time = HOP * FFT / _GAUSSIAN * over_bins + turn
    in_frequency = (
        -_GAUSSIAN / (HOP * FFT) * over_frames - math.pi
    )  # a frame's middle is half a window after its start
    return in_time, in_frequency


def _unit(values: Tensor) -> Tensor:
    """Their directions; 0 has the direction 1."""
    return torch.polar(torch.ones_like(values.real), values.angle())
