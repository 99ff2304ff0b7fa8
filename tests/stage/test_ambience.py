import pytest
import torch

from horsekit.stage.ambience import AMBIENCES, LEVELS, ambience
from horsekit.stage.speech import LOUDNESS

SOUNDING = [kind for kind in AMBIENCES if kind != "silence"]


def centroid(sound: torch.Tensor) -> float:
    power = torch.fft.rfft(sound).abs().square()
    return float((power * torch.linspace(0, 8000, len(power))).sum() / power.sum())


@pytest.mark.parametrize("kind", SOUNDING)
def test_a_sound_follows_from_its_seed_and_stays_under_speech(kind):
    sound = ambience(kind, 21_120, 3)
    assert sound.shape == (21_120,) and sound.dtype == torch.float32
    assert torch.equal(sound, ambience(kind, 21_120, 3))
    assert not torch.equal(sound, ambience(kind, 21_120, 4))
    level = sound.square().mean().sqrt().item()
    assert level == pytest.approx(LEVELS[kind], rel=1e-3) and level <= LOUDNESS / 10
    assert sound.abs().max() < 0.15


def test_each_kind_has_its_own_colour():
    height = {kind: centroid(ambience(kind, 41_600, 1)) for kind in SOUNDING}
    assert height["hum"] < 400 and height["wind"] < 900
    assert height["room tone"] < 500 < height["waves"] < height["rain"]
    assert height["birds"] > 2000


def test_silence_is_silent_and_the_unknown_is_named():
    assert not ambience("silence", 100, 0).any()
    with pytest.raises(ValueError, match="thunder"):
        ambience("thunder", 100, 0)


@pytest.mark.parametrize("kind", AMBIENCES)
def test_any_length_works(kind):
    for samples in (1, 7, 640):
        assert ambience(kind, samples, 0).isfinite().all()
