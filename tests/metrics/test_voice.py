"""Voices are told apart whatever they say."""

import pytest
import torch

from horsekit.media import Sound
from horsekit.metrics.voice import Choir, pitch_of, telling_directions, voice_point
from horsekit.stage import Character
from horsekit.stage.script import IDENTITIES, voice_sample
from horsekit.stage.speech import SAMPLE_RATE

VOICES = [Character.draw(seed).voice for seed in IDENTITIES["held_out"][:20]]


def sample(voice, seed: int, seconds: float = 2.0) -> Sound:
    return Sound(voice_sample(voice, seed, "held_out", seconds)[:, None], SAMPLE_RATE)


def test_a_voice_is_found_among_twenty_by_other_words_in_other_languages():
    choir = Choir.of([sample(voice, 100 + k, 4.0) for k, voice in enumerate(VOICES)])
    found = [choir.match(sample(voice, 200 + k), k).found for k, voice in enumerate(VOICES)]
    assert sum(found) >= 13
    wrong = [choir.match(sample(voice, 200 + k), (k + 1) % 20).found for k, voice in enumerate(VOICES)]
    assert sum(wrong) <= 2


@pytest.mark.parametrize("hertz", [90.0, 150.0, 260.0])
def test_pitch_is_that_of_a_pulse_train(hertz):
    times = torch.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = sum(torch.sin(2 * torch.pi * hertz * k * times) / k for k in range(1, 12))
    pitches, voiced = pitch_of(tone.unfold(0, 1024, 160))
    assert voiced.all() and pitches.median().item() == pytest.approx(hertz, rel=0.02)


def test_directions_are_those_in_which_voices_differ():
    source = torch.Generator().manual_seed(0)
    voice = torch.arange(40).repeat_interleave(5)
    rows = torch.randn(200, 4, generator=source) * torch.tensor([10.0, 30.0, 1.0, 10.0])
    rows[:, 2] += 10 * torch.randn(40, generator=source)[voice]
    (direction,) = telling_directions(rows, voice, 1)
    assert direction.abs().argmax() == 2
    within = torch.cat([rows[voice == v] - rows[voice == v].mean(0) for v in range(40)]) @ direction
    assert within.std().item() == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("kind", ["silent", "short", "noise"])
def test_what_is_no_voice_says_so(kind):
    noise = 0.1 * torch.randn(SAMPLE_RATE, 1, generator=torch.Generator().manual_seed(0))
    sound = {"silent": 0 * noise, "short": noise[:200], "noise": noise}[kind]
    assert voice_point(Sound(sound, SAMPLE_RATE)) is None
    match = Choir(torch.zeros(2, 12)).match(Sound(sound, SAMPLE_RATE), 0)
    assert not match.found and match.reason
    with pytest.raises(ValueError, match="no speech"):
        Choir.of([Sound(sound, SAMPLE_RATE)] * 2)


def test_level_and_silence_around_it_do_not_change_a_voice():
    sound = sample(VOICES[0], 5)
    padded = torch.nn.functional.pad(0.2 * sound.waveform, (0, 0, 4000, 4000))
    torch.testing.assert_close(
        voice_point(sound), voice_point(Sound(padded, SAMPLE_RATE)), atol=0.5, rtol=0.1
    )
