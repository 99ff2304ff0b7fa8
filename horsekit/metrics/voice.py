"""Whose voice is heard, whatever it says: pitch, and the long-term shape of the spectrum.

`python -m horsekit.metrics.voice` finds the directions in which voices differ and words do not, and writes them.

S samples, N moments 10 ms apart, D statistics, K directions, V voices
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm.auto import tqdm

from horsekit.media import Sound, replacing
from horsekit.metrics.fidelity import mel_weights
from horsekit.stage import Character
from horsekit.stage.script import voice_sample
from horsekit.stage.speech import SAMPLE_RATE

RATE = 16_000
WINDOW, HOP = 1024, 160  # samples
BANDS = 32
PITCHES = (60.0, 500.0)  # Hz
NEARLY = 0.85
VOICED = 0.5  # autocorrelation at the pitch over that at 0
LEAST_LEVEL = 1e-3  # root mean square: -60 dB of full scale
LEAST_SPEECH = 12  # moments
FILE = "voice.safetensors"
DIRECTIONS, RIDGE = 12, 0.01
FITTED_VOICES, TAKES = 150, 6
_QUIET = 10 ** (-30 / 20)  # of the loudest: below it nobody speaks


def voice_point(sound: Sound) -> Tensor | None:
    """A voice as a point [K], in deviations of one voice saying different things; None without speech."""
    statistics = voice_statistics(sound)
    return None if statistics is None else directions() @ statistics


def voice_statistics(sound: Sound) -> Tensor | None:
    """Quartiles of the pitch in octaves, and mean and deviation of each mel band in nepers, [D].

    Of the voiced moments, the level of each taken out. None where there is too little speech.
    """
    waveform = sound.mono().resampled(RATE).waveform[:, 0]
    if len(waveform) < WINDOW or waveform.square().mean().sqrt() < LEAST_LEVEL:
        return None
    frames = waveform.unfold(0, WINDOW, HOP)
    loud = frames.square().mean(1).sqrt()
    frames = frames[loud > _QUIET * loud.max()] / loud.max()
    if len(frames) < LEAST_SPEECH:
        return None
    pitches, voiced = pitch_of(frames)
    if int(voiced.sum()) < LEAST_SPEECH // 2:
        return None
    frames, octaves = frames[voiced], pitches[voiced].log2()
    spectra = torch.fft.rfft(frames * torch.hann_window(WINDOW)).abs()
    logs = (spectra @ mel_weights(WINDOW, BANDS, RATE) + 1e-4).log()
    logs = logs - logs.mean(1, keepdim=True)
    steady = octaves.quantile(torch.tensor([0.25, 0.5, 0.75]))
    return torch.cat([steady, logs.mean(0), logs.std(0)])


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
def directions() -> Tensor:
    """What ships with horsekit, [K, D]."""
    return load_file(Path(str(files("horsekit"))) / "weights" / "reader" / FILE)["directions"]


def telling_directions(statistics: Tensor, voice: Tensor, count: int) -> Tensor:
    """The `count` directions [K, D] along which voices differ most, in deviations of one voice (Fisher 1936).

    statistics [S, D] of samples, voice [S] the number of each one's voice.
    """
    statistics = statistics.double()
    means = torch.stack([statistics[voice == v].mean(0) for v in voice.unique()])
    apart = torch.cat([statistics[voice == v] - mean for v, mean in zip(voice.unique(), means, strict=True)])
    within = apart.T @ apart / (len(apart) - len(means)) + RIDGE * torch.eye(statistics.shape[1])
    inverse = torch.linalg.inv(torch.linalg.cholesky(within))
    _, axes = torch.linalg.eigh(inverse @ torch.cov(means.T) @ inverse.T)
    return (axes[:, -count:].T @ inverse).float().contiguous()


def main() -> None:
    rows, voices = [], []
    for number in tqdm(range(FITTED_VOICES), desc="voices", unit="voice"):
        voice = Character.draw(number).voice
        for take in range(TAKES):
            waveform = voice_sample(voice, number * TAKES + take, "train", 1.6)
            statistics = voice_statistics(Sound(waveform[:, None], SAMPLE_RATE))
            if statistics is not None:
                rows.append(statistics)
                voices.append(number)
    found = telling_directions(torch.stack(rows), torch.tensor(voices), DIRECTIONS)
    path = Path(str(files("horsekit"))) / "weights" / "reader" / FILE
    with replacing(path) as draft:
        save_file({"directions": found}, draft)
    print(path)


if __name__ == "__main__":
    main()
