"""How far the sound runs ahead of the mouth, read from pixels and sound alone.

Positive is sound early, the picture late. F frames, S samples, N points 5 ms apart, L lags.
"""

from dataclasses import dataclass, field

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from horsekit.media import Clip
from horsekit.metrics.statistics import median, theil_sen

HOP = 0.005  # seconds between points of the envelope and of the search
BLOCK = 0.020  # seconds under one root mean square
REACH = 0.400  # the largest offset looked for, in seconds
WINDOW_REACH = 0.150  # to either side of the clip's own offset
WINDOW, WINDOW_HOP = 2.0, 0.5  # seconds, for the slope; both less where a clip is short
LEAST_WINDOWS = 7
LEAST_PEAK = 0.5
LEAST_SECONDS = 0.8  # below it a correlation over ±REACH says nothing
LEAST_LEVEL = 1e-3  # root mean square: -60 dB of full scale
LEAST_MODULATION = 0.1  # deviation of the envelope over its mean; white noise has 0.04, speech 0.3 and more
# Hz: the formants, which an open mouth lets out, without the hum of a closed one or hiss. Against the
# unfiltered envelope this halves the p95 of short true clips (35 for 107 ms at 1.28 s).
BAND = (500.0, 2500.0)
# ms, subtracted: in speech the loudness rises this much before the lips part furthest. The mean over 120 true
# clips of 2.56 s of the train split; the driven mouths themselves give 5.7, those read from pixels 5.5.
BIAS = 5.5


@dataclass(frozen=True)
class Alignment:
    """Where the correlation of mouth and envelope peaks: seconds (positive: sound early), its height."""

    offset: float
    peak: float


@dataclass(frozen=True)
class Sync:
    """The timing of one clip: all in ms, ms/s for the slope; None where there is nothing to say.

    windows: (centre in seconds, offset in ms) of each window that has a clear peak; window: their length in
    seconds, 2 unless the clip is too short for several of them. Windows of a short clip share syllables, so
    its slope is too flat: of an injected 10 ms/s, 10.0 is found in 10 s, 7 in 2.6 s and 5 in 1.3 s (means of
    true clips). reason: why the clip is unusable, or empty.
    """

    offset: float | None = None
    peak: float | None = None
    slope: float | None = None
    jitter: float | None = None
    windows: tuple[tuple[float, float], ...] = ()
    window: float | None = None
    discarded: int = 0
    reason: str = ""

    @property
    def usable(self) -> bool:
        """Whether there is an offset."""
        return not self.reason


@dataclass(frozen=True, eq=False)
class MouthTrace:
    """How open the mouth is in each frame [F], any unit, or the reason why that cannot be told."""

    aperture: Tensor = field(default_factory=lambda: torch.zeros(0))
    reason: str = ""


def envelope(waveform: Tensor, sample_rate: int) -> Tensor:
    """Loudness [N] of waveform [S, C] or [S] at each multiple of 5 ms.

    The square root, which is nearer to how loud it sounds, of the root mean square over 20 ms in BAND.
    """
    mono = waveform.mean(1) if waveform.ndim == 2 else waveform
    block, points = round(BLOCK * sample_rate), int(len(mono) / sample_rate / HOP) + 1
    sums = functional.pad(_in_band(mono, sample_rate).square().cumsum(0), (1, 0))
    centres = (torch.arange(points, dtype=torch.float64) * HOP * sample_rate).round().long()
    first, last = (centres - block // 2).clamp(min=0), (centres + block // 2).clamp(max=len(mono))
    return ((sums[last] - sums[first]) / (last - first).clamp(min=1)).clamp(min=0) ** 0.25


def _in_band(mono: Tensor, sample_rate: int) -> Tensor:
    """[S] float64 with BAND kept, by a fourth-order Butterworth gain at both ends and no shift in time."""
    padded = len(mono) + sample_rate // 10  # silence, so that the end does not leak into the beginning
    hertz = torch.fft.rfftfreq(padded, 1 / sample_rate, dtype=torch.float64)
    low, high = BAND
    gain = (1 + (low / hertz.clamp(min=1)) ** 8) * (1 + (hertz / high) ** 8)
    return torch.fft.irfft(torch.fft.rfft(mono.double(), n=padded) / gain.sqrt(), n=padded)[: len(mono)]


def densified(aperture: Tensor, fps: float) -> Tensor:
    """A trace [F] at `fps` on the envelope's 5 ms points, first frame to last, by a Catmull-Rom cubic."""
    frames = len(aperture)
    times = torch.arange(int((frames - 1) / fps / HOP) + 1, dtype=torch.float64) * HOP * fps
    left = times.floor().long().clamp(max=max(frames - 2, 0))
    u = times - left
    padded = functional.pad(aperture.double()[None], (1, 2), mode="replicate")[0]
    a, b, c, d = (padded[left + k] for k in range(4))
    return b + 0.5 * u * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a)))


def align(
    trace: Tensor, loudness: Tensor, start: int = 0, centre: int = 0, reach: float = REACH
) -> Alignment:
    """The offset at which `trace` [N] correlates best with `loudness` [M], both on the 5 ms points.

    trace begins at point `start` of the loudness; lags run ±reach seconds around `centre` points, each
    normalised over the points where both are known. The peak is the one highest once weighted by how much
    is known, since chance correlation grows as that shrinks (on true clips of 1.28 s the mean |offset| falls
    from 25 to 14 ms); its place and height are those of the correlation itself, refined by a parabola.
    """
    lags = centre + torch.arange(-round(reach / HOP), round(reach / HOP) + 1)
    points = start + torch.arange(len(trace))[None, :] - lags[:, None]
    known = ((points >= 0) & (points < len(loudness))).double()
    heard = loudness[points.clamp(0, len(loudness) - 1)]
    count = known.sum(1, keepdim=True).clamp(min=1)
    seen = (trace - (trace * known).sum(1, keepdim=True) / count) * known
    heard = (heard - (heard * known).sum(1, keepdim=True) / count) * known
    power = seen.square().sum(1) * heard.square().sum(1)
    score = (seen * heard).sum(1) / power.clamp(min=1e-18).sqrt()
    best = int((score * count[:, 0]).argmax())
    last = len(score) - 1
    while 0 < best < last and score[best - 1 : best + 2].argmax() != 1:
        best += 1 if score[best + 1] > score[best - 1] else -1
    shift = 0.0
    if 0 < best < last:
        below, top, above = score[best - 1 : best + 2].tolist()
        curve = below - 2 * top + above
        shift = 0.5 * (below - above) / curve if curve < 0 else 0.0
    return Alignment((lags[best].item() + shift) * HOP, score[best].item())


def timing(mouth: MouthTrace, clip: Clip) -> Sync:
    """The timing of `clip`'s sound against a mouth trace of its frames."""
    reason = mouth.reason or _no_picture(clip) or _no_sound(clip)
    if reason:
        return Sync(reason=reason)
    fps = float(clip.fps)
    loudness = envelope(clip.waveform, clip.sample_rate)
    if loudness.std() < LEAST_MODULATION * loudness.mean():
        return Sync(reason="the sound is steady: no syllables to time")
    trace = densified(mouth.aperture, fps)
    if trace.std() < 1e-6 * trace.abs().max().clamp(min=1e-6):
        return Sync(reason="the mouth never moves")
    whole = align(trace, loudness)
    if whole.peak < LEAST_PEAK:
        return Sync(peak=whole.peak, reason=f"mouth and sound do not match: peak below {LEAST_PEAK}")
    if abs(whole.offset) > REACH - HOP:
        return Sync(peak=whole.peak, reason=f"the best match lies outside ±{1000 * REACH:.0f} ms")
    over_time = _over_time(trace, loudness, whole, clip.seconds)
    return Sync(offset=1000 * whole.offset - BIAS, peak=whole.peak, **over_time)


def _over_time(trace: Tensor, loudness: Tensor, whole: Alignment, seconds: float) -> dict:
    """Offsets in windows near the clip's own, their slope and their jitter about it."""
    window = min(WINDOW, 0.6 * seconds)
    size, centre = round(window / HOP), round(whole.offset / HOP)
    hop = min(WINDOW_HOP, (len(trace) - size) * HOP / (LEAST_WINDOWS - 1))
    found, discarded = [], 0
    for k in range(int((len(trace) - size) * HOP / hop + 1e-6) + 1):
        start = round(k * hop / HOP)
        one = align(trace[start : start + size], loudness, start, centre, WINDOW_REACH)
        # where it rises to the end of the reach there is no peak
        if one.peak < LEAST_PEAK or abs(one.offset - centre * HOP) > WINDOW_REACH - HOP:
            discarded += 1
        else:
            found.append((start * HOP + window / 2, 1000 * one.offset - BIAS))
    over_time = {"windows": tuple(found), "window": window, "discarded": discarded}
    if len(found) < 3:
        return over_time
    times, offsets = torch.tensor(found, dtype=torch.float64).unbind(1)
    slope, origin = theil_sen(times, offsets)
    jitter = median((offsets - origin - slope * times).abs())
    return {**over_time, "slope": slope, "jitter": jitter}


def _no_picture(clip: Clip) -> str:
    frames = rearrange(clip.frames, "F H W C -> F (H W C)")
    if clip.seconds < LEAST_SECONDS:
        return f"the clip is too short: {clip.seconds:.2f} s, and {LEAST_SECONDS} s are needed"
    if int(frames.max()) < 16:
        return "the picture is black"
    if bool((frames[1:] == frames[:1]).all()):
        return "the picture is frozen"
    return ""


def _no_sound(clip: Clip) -> str:
    if clip.waveform.square().mean().sqrt() < LEAST_LEVEL:
        return "the clip is silent"
    return ""
