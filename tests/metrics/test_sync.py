"""Timing against known errors: a mouth and a voice driven by the same syllables."""

import pytest
import torch

from horsekit.media import Clip
from horsekit.metrics import MouthTrace, envelope, timing
from horsekit.metrics.sync import BIAS

RATE = 16_000


def syllables(seconds: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Beginnings and lengths of syllables, in seconds, as irregular as those of speech."""
    source = torch.Generator().manual_seed(seed)
    lengths = 0.12 + 0.2 * torch.rand(64, generator=source, dtype=torch.float64)
    gaps = 0.05 + 0.15 * torch.rand(64, generator=source, dtype=torch.float64)
    starts = 0.15 + (lengths + gaps).cumsum(0) - lengths
    spoken = starts + lengths < seconds - 0.1
    return starts[spoken], lengths[spoken]


def opening(times: torch.Tensor, seconds: float, seed: int) -> torch.Tensor:
    """How open the mouth is at `times`: a raised cosine for each syllable."""
    starts, lengths = syllables(seconds, seed)
    phase = ((times[:, None] - starts) / lengths).clamp(0, 1)
    return (0.5 - 0.5 * torch.cos(2 * torch.pi * phase)).sum(1)


def talk(seconds: float = 2.6, seed: int = 0, early: float = 0.0, rate: float = 0.0):
    """A mouth and a clip whose sound is `early` seconds ahead, and `rate` more per second."""
    frames = round(seconds * 25)
    mouth = opening(torch.arange(frames, dtype=torch.float64) / 25, seconds, seed)
    heard = (torch.arange(frames * 40, dtype=torch.float64) + 0.5) / 1000
    loud = opening(heard * (1 + rate) + early, seconds, seed).float().repeat_interleave(RATE // 1000)
    voice = 0.1 * loud * torch.randn(len(loud), generator=torch.Generator().manual_seed(seed))
    picture = torch.randint(0, 255, (frames, 8, 8, 3), generator=torch.Generator().manual_seed(seed))
    return MouthTrace(mouth), Clip(picture.to(torch.uint8), voice[:, None])


def mean_offset(**error: float) -> float:
    offsets = [timing(*talk(seed=seed, **error)).offset for seed in range(10)]
    return sum(offsets) / len(offsets) + BIAS  # these syllables are loudest when the mouth is widest


@pytest.mark.parametrize("early", [0.08, -0.08, 0.013, 0.0])
def test_offset_is_recovered_with_its_sign(early):
    assert mean_offset(early=early) == pytest.approx(1000 * early, abs=2)


@pytest.mark.parametrize("rate", [0.010, -0.010, 0.0])
def test_rate_error_is_recovered_as_slope(rate):
    slopes = [timing(*talk(seconds=10, seed=seed, rate=rate)).slope for seed in range(8)]
    assert sum(slopes) / len(slopes) == pytest.approx(1000 * rate, abs=1)


def test_short_clips_say_the_window_they_used():
    assert timing(*talk(seconds=1.6)).window == pytest.approx(0.96)
    assert timing(*talk(seconds=5.0)).window == 2.0


def test_another_voice_is_not_taken_for_this_mouth():
    mouth, _ = talk(seconds=5, seed=1)
    peaks = [timing(mouth, talk(seconds=5, seed=seed)[1]).peak for seed in range(2, 10)]
    assert max(peaks) < timing(*talk(seconds=5, seed=1)).peak - 0.15


def test_envelope_is_the_root_of_the_root_mean_square_at_its_own_time():
    tone = 0.5 * torch.sin(2 * torch.pi * 1000 * torch.arange(RATE) / RATE)
    tone[: RATE // 2] = 0
    loudness = envelope(tone[:, None], RATE).square()
    assert len(loudness) == 201 and loudness[:93].max() < 0.01
    assert loudness[107:195].sub(0.5 / 2**0.5).abs().max() < 0.01
    assert loudness[100] == pytest.approx(0.25, abs=0.02)  # half of its 20 ms sound


def test_envelope_hears_neither_hum_nor_hiss():
    times = torch.arange(RATE) / RATE
    low, inside, high = (
        envelope(torch.sin(2 * torch.pi * f * times), RATE)[20:180] for f in (120, 1000, 6000)
    )
    assert low.max() < 0.1 * inside.mean() and high.max() < 0.2 * inside.mean()


def broken(kind: str) -> tuple[MouthTrace, Clip]:
    mouth, clip = talk()
    frames, sound = clip.frames, clip.waveform
    noise = 0.1 * torch.randn(sound.shape, generator=torch.Generator().manual_seed(5))
    still = MouthTrace(torch.full_like(mouth.aperture, 3.0))
    return {
        "black": (mouth, Clip(torch.zeros_like(frames), sound)),
        "frozen": (mouth, Clip(frames[:1].expand_as(frames).clone(), sound)),
        "short": (MouthTrace(mouth.aperture[:1]), Clip(frames[:1], sound[:640])),
        "silent": (mouth, Clip(frames, torch.zeros_like(sound))),
        "steady": (mouth, Clip(frames, noise)),
        "never moves": (still, clip),
        "no face": (MouthTrace(reason="no face in view"), clip),
    }[kind]


@pytest.mark.parametrize("kind", ["black", "frozen", "short", "silent", "steady", "never moves", "no face"])
def test_clips_that_cannot_be_timed_say_why(kind):
    sync = timing(*broken(kind))
    assert not sync.usable and kind in sync.reason
    assert sync.offset is None and sync.slope is None and sync.jitter is None
