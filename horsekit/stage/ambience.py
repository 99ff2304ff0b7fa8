"""Ambient sounds, synthetic and quiet, the same from a seed in every process.

S samples.
"""

import math

import torch
from torch import Tensor

from horsekit.stage.seeding import generator, uniform

# root mean square of each sound, 20 dB or more below speech
LEVELS = {
    "silence": 0.0,
    "room tone": 0.002,
    "hum": 0.006,
    "wind": 0.010,
    "rain": 0.010,
    "waves": 0.010,
    "birds": 0.008,
}
AMBIENCES = tuple(LEVELS)


def ambience(kind: str, samples: int, seed: int, sample_rate: int = 16_000) -> Tensor:
    """[S] float32 of one of AMBIENCES at its LEVELS; ValueError for another kind."""
    if kind not in LEVELS:
        raise ValueError(f"no ambient sound {kind!r}; choose one of {', '.join(AMBIENCES)}")
    if kind == "silence" or samples == 0:
        return torch.zeros(samples)
    source = generator(seed, f"ambience {kind}")
    time = torch.arange(samples, dtype=torch.float64) / sample_rate
    sound = _MAKERS[kind](time, source, sample_rate)
    return (LEVELS[kind] * sound / sound.square().mean().sqrt().clamp(min=1e-9)).float()


def _noise(time: Tensor, source: torch.Generator, rate: int, low: float, high: float, slope: float) -> Tensor:
    """Noise between two frequencies in Hz, falling by `slope` powers of frequency, with soft band edges."""
    spectrum = torch.fft.rfft(torch.randn(len(time), generator=source, dtype=torch.float64))
    hertz = torch.fft.rfftfreq(len(time), 1 / rate, dtype=torch.float64).clamp(min=1.0)
    shape = hertz ** (-slope / 2) / ((1 + (low / hertz) ** 4) * (1 + (hertz / high) ** 4))
    noise = torch.fft.irfft(spectrum * shape, n=len(time))
    return noise / noise.square().mean().sqrt().clamp(min=1e-9)


def _swell(time: Tensor, source: torch.Generator, low: float, high: float) -> Tensor:
    """A slow wander in 0..1 made of three sines between two frequencies in Hz."""
    total = torch.zeros_like(time)
    for _ in range(3):
        hertz, phase = uniform(source, low, high), uniform(source, 0, 2 * math.pi)
        total = total + (2 * math.pi * hertz * time + phase).sin()
    return 0.5 + total / 6


def _room_tone(time: Tensor, source: torch.Generator, rate: int) -> Tensor:
    return _noise(time, source, rate, 40, 900, 1.5)


def _hum(time: Tensor, source: torch.Generator, rate: int) -> Tensor:
    mains = uniform(source, 98, 122)
    tones = torch.zeros_like(time)
    for harmonic, strength in ((1, 1.0), (2, 0.5), (3, 0.3), (5, 0.12)):
        phase = uniform(source, 0, 2 * math.pi)
        tones = tones + strength * (2 * math.pi * mains * harmonic * time + phase).sin()
    return tones * (0.85 + 0.15 * _swell(time, source, 0.3, 1.1)) + 0.05 * _noise(
        time, source, rate, 80, 2000, 1.0
    )


def _wind(time: Tensor, source: torch.Generator, rate: int) -> Tensor:
    body = _noise(time, source, rate, 90, 500, 1.0)
    whistle = _noise(time, source, rate, 600, 1100, 0.0)
    gust = _swell(time, source, 0.2, 0.9)
    return body * (0.35 + gust) + 0.5 * whistle * gust**3


def _rain(time: Tensor, source: torch.Generator, rate: int) -> Tensor:
    wash = 0.7 * _noise(time, source, rate, 1200, 7000, 0.3)
    hits = (torch.rand(len(time), generator=source, dtype=torch.float64) < 90 / rate).double()
    hits = hits * torch.rand(len(time), generator=source, dtype=torch.float64)
    tail = torch.arange(int(0.012 * rate), dtype=torch.float64) / rate
    drop = torch.exp(-tail / 0.002) * torch.sin(2 * math.pi * uniform(source, 2200, 3400) * tail)
    size = len(time) + len(drop)
    drops = torch.fft.irfft(torch.fft.rfft(hits, size) * torch.fft.rfft(drop, size), size)
    return wash + 4.0 * drops[: len(time)]


def _waves(time: Tensor, source: torch.Generator, rate: int) -> Tensor:
    period, offset = uniform(source, 2.2, 3.6), uniform(source, 0, 1)
    place = (time / period + offset) % 1.0
    breaker = torch.where(place < 0.35, place / 0.35, ((1 - place) / 0.65) ** 2)
    hiss = _noise(time, source, rate, 500, 4500, 0.6)
    return hiss * (0.12 + breaker) + 0.35 * _noise(time, source, rate, 50, 250, 1.0)


def _birds(time: Tensor, source: torch.Generator, rate: int) -> Tensor:
    song = 0.02 * _noise(time, source, rate, 300, 5000, 1.0)
    at = uniform(source, 0.0, 0.4)
    while at < float(time[-1]) + 0.01:
        pitch, bend = uniform(source, 2600, 4600), uniform(source, -9000, 9000)
        length, loud = uniform(source, 0.05, 0.13), uniform(source, 0.3, 1.0)
        for note in range(int(uniform(source, 1, 4))):
            inside = (time - at - note * (length + 0.03)).clamp(0, length)
            envelope = (math.pi * inside / length).sin().clamp(min=0)
            song = song + loud * envelope * (2 * math.pi * (pitch + 0.5 * bend * inside) * inside).sin()
        at += uniform(source, 0.25, 0.8)
    return song


_MAKERS = {
    "room tone": _room_tone,
    "hum": _hum,
    "wind": _wind,
    "rain": _rain,
    "waves": _waves,
    "birds": _birds,
}
