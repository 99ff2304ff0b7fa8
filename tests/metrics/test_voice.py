"""Voices are told apart whatever they say."""

from dataclasses import replace

import pytest
import torch

from horsekit.media import Sound
from horsekit.metrics.voice import Choir, pitch_of, voice_moments, voice_point
from horsekit.stage import Character, Script
from horsekit.stage.script import IDENTITIES, voice_sample
from horsekit.stage.speech import SAMPLE_RATE

VOICES = [Character.draw(seed).voice for seed in IDENTITIES["held_out"][:20]]


def sample(voice, seed: int, seconds: float = 2.0) -> Sound:
    return Sound(voice_sample(voice, seed, "held_out", seconds)[:, None], SAMPLE_RATE)


def test_a_voice_is_found_among_twenty_by_other_words_in_other_languages():
    choir = Choir.of([sample(voice, 100 + k, 4.0) for k, voice in enumerate(VOICES)])
    found = [choir.match(sample(voice, 200 + k), k).found for k, voice in enumerate(VOICES)]
    assert sum(found) >= 15
    wrong = [choir.match(sample(voice, 200 + k), (k + 1) % 20).found for k, voice in enumerate(VOICES)]
    assert sum(wrong) <= 2


def test_a_voice_is_found_in_clips_with_what_else_is_heard():
    cast = [Character.draw(seed) for seed in IDENTITIES["held_out"][:20]]
    choir = Choir.of([sample(who.voice, 100 + k, 4.0) for k, who in enumerate(cast)])
    clips = [
        Sound(Script.draw(k, "held_out", cast=[who], speaking=True).waveform, SAMPLE_RATE)
        for k, who in enumerate(cast)
    ]
    assert sum(choir.match(clip, k).found for k, clip in enumerate(clips)) >= 13


@pytest.mark.parametrize("hertz", [90.0, 150.0, 260.0])
def test_pitch_is_that_of_a_pulse_train(hertz):
    times = torch.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = sum(torch.sin(2 * torch.pi * hertz * k * times) / k for k in range(1, 12))
    pitches, voiced = pitch_of(tone.unfold(0, 1024, 160))
    assert voiced.all() and pitches.median().item() == pytest.approx(hertz, rel=0.02)


def test_moments_say_when_there_is_a_voice_and_how_high():
    silence = torch.zeros(SAMPLE_RATE // 2, 1)
    sound = sample(VOICES[0], 3, 1.0)
    doubled = Sound(torch.cat([silence, sound.waveform, silence, sound.waveform, silence]), SAMPLE_RATE)
    moments = voice_moments(doubled)
    _, voiced, speaks, level = moments[:, -4:].unbind(1)
    assert 230 < len(moments) < 260  # from the first word to the last, with the pause between
    assert speaks[100:145].sum() < 10 and voiced[100:145].sum() < 10
    assert speaks.mean() > 0.6 and level.max() == pytest.approx(0, abs=1e-3)
    low, high = (voice_moments(sample(replace(VOICES[0], pitch=p), 3, 1.0)) for p in (20.0, 60.0))
    middle = [m[m[:, -3] > 0, -4].median() for m in (low, high)]
    assert middle[1] > middle[0] + 0.3


@pytest.mark.parametrize("kind", ["silent", "short", "noise"])
def test_what_is_no_voice_says_so(kind):
    noise = 0.1 * torch.randn(SAMPLE_RATE, 1, generator=torch.Generator().manual_seed(0))
    sound = {"silent": 0 * noise, "short": noise[:200], "noise": noise}[kind]
    assert voice_point(Sound(sound, SAMPLE_RATE)) is None
    match = Choir(torch.zeros(2, 48)).match(Sound(sound, SAMPLE_RATE), 0)
    assert not match.found and match.reason
    with pytest.raises(ValueError, match="no speech"):
        Choir.of([Sound(sound, SAMPLE_RATE)] * 2)


def test_level_and_silence_around_it_do_not_change_a_voice():
    sound = sample(VOICES[0], 5)
    padded = torch.nn.functional.pad(0.2 * sound.waveform, (0, 0, 4000, 4000))
    assert voice_point(sound) @ voice_point(Sound(padded, SAMPLE_RATE)) > 0.98
