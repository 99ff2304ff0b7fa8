"""Whose voice is heard, whatever it says: a small network over mel bands and pitch, see training/train_voice.py.

S samples, B sounds, N moments 10 ms apart, D numbers of a moment, K coordinates of a voice, V voices
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from horsekit.media import Sound
from horsekit.metrics.fidelity import mel_weights

RATE = 16_000
WINDOW, HOP = 1024, 160  # samples
BANDS = 40
PITCHES = (60.0, 500.0)  # Hz
MIDDLE = 7.5  # octaves above 1 Hz, 181 Hz: between the voices of men and of women
NEARLY = 0.85
VOICED = 0.5  # autocorrelation at the pitch over that at 0
LEAST_LEVEL = 1e-3  # root mean square: -60 dB of full scale
LEAST_SPEECH = 12  # moments
FILE = "voice.safetensors"
_QUIET = 10 ** (-30 / 20)  # of the loudest: below it nobody speaks
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


class VoiceReader(nn.Module):
    """Moments [B, N, D] to voices [B, K], unit vectors.

    Three convolutions over time, then the mean and the deviation of what they find in moments of speech (statistics
    pooling, Snyder et al. 2018, "X-vectors"), beside the quantiles of the pitch and the share that has one.
    """

    def __init__(self, width: int = 96, coordinates: int = 48) -> None:
        super().__init__()
        sizes = ((BANDS + 4, 5), (width, 5), (width, 3))
        self.convolutions = nn.ModuleList(nn.Conv1d(n, width, k, padding=k // 2) for n, k in sizes)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in sizes)
        pooled = 2 * width + len(_QUANTILES) + 1
        self.out = nn.Sequential(
            nn.Linear(pooled, 128), nn.GELU(), nn.Dropout(0.3), nn.Linear(128, coordinates)
        )

    def forward(self, moments: Tensor) -> Tensor:
        octaves, voiced, speaks, _ = moments[..., BANDS:].unbind(-1)
        x = moments
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = F.gelu(norm(convolution(x.mT).mT))
        share = (speaks / speaks.sum(1, keepdim=True).clamp(min=1))[..., None]
        mean = (x * share).sum(1)
        spread = ((x - mean[:, None]).square() * share).sum(1)
        pitches = torch.where(voiced > 0, octaves, torch.nan)
        pitches = pitches.nanquantile(pitches.new_tensor(_QUANTILES), dim=1).T.nan_to_num()
        sung = (voiced.sum(1) / speaks.sum(1).clamp(min=1))[:, None]
        return F.normalize(
            self.out(torch.cat([mean, (spread + 1e-4).sqrt(), 2 * pitches, 2 * sung], 1)), dim=1
        )


def voice_point(sound: Sound) -> Tensor | None:
    """A voice as a point [K] of the unit sphere, None without speech."""
    moments = voice_moments(sound)
    if moments is None:
        return None
    with torch.inference_mode():
        return reader()(moments[None])[0]


def voice_moments(sound: Sound) -> Tensor | None:
    """From the first moment of speech to the last, [N, D]; None where there is too little speech.

    Mel bands in nepers, their mean taken out; the pitch in octaves from MIDDLE, and whether there is one; whether
    somebody speaks; the level over the loudest moment's.
    """
    waveform = sound.mono().resampled(RATE).waveform[:, 0]
    if len(waveform) < WINDOW or waveform.square().mean().sqrt() < LEAST_LEVEL:
        return None
    frames = waveform.unfold(0, WINDOW, HOP)
    level = frames.square().mean(1).sqrt()
    frames, level = frames / level.max(), level / level.max()
    speaks = level > _QUIET
    spoken = speaks.nonzero()[:, 0]
    frames, level, speaks = (of[spoken[0] : spoken[-1] + 1] for of in (frames, level, speaks))
    pitches, voiced = pitch_of(frames)
    voiced = voiced & speaks
    if int(speaks.sum()) < LEAST_SPEECH or int(voiced.sum()) < LEAST_SPEECH // 2:
        return None
    spectra = torch.fft.rfft(frames * torch.hann_window(WINDOW)).abs()
    bands = (spectra @ mel_weights(WINDOW, BANDS, RATE) + 1e-4).log()
    bands = (bands - bands.mean(1, keepdim=True)) / 1.5
    others = ((pitches.log2() - MIDDLE) * voiced, voiced, speaks, (level + 1e-3).log() / 3)
    return torch.cat([bands, torch.stack([of.float() for of in others], dim=1)], dim=1)


def pitch_of(frames: Tensor) -> tuple[Tensor, Tensor]:
    """The pitch in Hz of frames [N, WINDOW] by their autocorrelation, and which are voiced, [N] each."""
    centred = (frames - frames.mean(1, keepdim=True)) * torch.hann_window(WINDOW)
    power = torch.fft.rfft(centred, n=2 * WINDOW).abs().square()
    window = torch.fft.irfft(torch.fft.rfft(torch.hann_window(WINDOW), n=2 * WINDOW).abs().square())
    first, last = (int(RATE / hertz) for hertz in reversed(PITCHES))
    correlation = torch.fft.irfft(power)[:, : last + 1] / window[: last + 1]  # as if the window were flat
    correlation = correlation / correlation[:, :1].clamp(min=1e-9)
    height = correlation[:, first:].amax(1)
    # the first peak that is nearly as high as the highest: later ones are two periods long, or three
    rising = correlation[:, first - 1 : -1] <= correlation[:, first:]
    peak = (
        rising
        & ~torch.nn.functional.pad(rising[:, 1:], (0, 1))
        & (correlation[:, first:] > NEARLY * height[:, None])
    )
    lag = peak.to(torch.uint8).argmax(1)
    return RATE / (lag + first).float(), height > VOICED


@dataclass(frozen=True)
class VoiceMatch:
    """Whether what is heard is nearest to its own voice, by distances between points."""

    own: float | None = None
    other: float | None = None
    reason: str = ""

    @property
    def found(self) -> bool:
        """Top-1 retrieval."""
        return self.own is not None and self.own < self.other


@dataclass(frozen=True, eq=False)
class Choir:
    """Voices to be told apart, points [V, K]."""

    points: Tensor

    @classmethod
    def of(cls, samples: Sequence[Sound]) -> "Choir":
        """Each voice by some of its speech. Errors: ValueError for a sample without speech, or fewer than two."""
        points = [voice_point(sound) for sound in samples]
        silent = [k for k, point in enumerate(points) if point is None]
        if silent or len(points) < 2:
            raise ValueError(
                f"voice {silent[0]} has no speech in its sample; give a few seconds of it"
                if silent
                else f"{len(points)} voice(s); give at least two to tell apart"
            )
        return cls(torch.stack(points))

    def match(self, sound: Sound, own: int) -> VoiceMatch:
        """Compare a sound with every voice, of which `own` should be heard."""
        point = voice_point(sound)
        if point is None:
            return VoiceMatch(reason="no voice is heard")
        away = (self.points - point).square().sum(1).sqrt()
        others = torch.cat([away[:own], away[own + 1 :]])
        return VoiceMatch(away[own].item(), others.min().item())


@cache
def reader() -> VoiceReader:
    """What ships with horsekit."""
    weights = load_file(Path(str(files("horsekit"))) / "weights" / "reader" / FILE)
    network = VoiceReader()
    network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return network.eval()
