"""Manners of speaking are told from their opposites by the sound alone."""

import pytest
import torch

from horsekit.media import Sound
from horsekit.metrics.delivery import contrast_of, manner_of
from horsekit.stage import Script
from horsekit.stage.delivery import OPPOSITES
from horsekit.stage.speech import SAMPLE_RATE


def heard(script: Script) -> Sound:
    return Sound(script.waveform, SAMPLE_RATE)


@pytest.mark.parametrize("opposites", OPPOSITES)
def test_opposite_manners_are_heard_in_clips_with_what_else_is_heard(opposites):
    right = wrong = 0
    for seed in range(16):
        first = Script.draw(seed, "held_out", speaking=True, delivery=opposites[0])
        sounds = [heard(first), heard(first.delivered(opposites[1]))]
        right += contrast_of(sounds, opposites).right
        wrong += contrast_of(sounds[::-1], opposites).right
    assert right >= 15 and wrong <= 1


@pytest.mark.parametrize(("cents", "gain"), [(100, 1.0), (400, 0.5)])
def test_a_tone_has_the_level_length_and_melody_that_it_was_made_with(cents, gain):
    times = torch.arange(SAMPLE_RATE) / SAMPLE_RATE
    bend = (cents / 1200) * (2 * torch.pi * 2 * times).sin().sign()  # up and down by so much
    phase = 2 * torch.pi * (150 * 2**bend / SAMPLE_RATE).cumsum(0)
    tone = gain * sum((k * phase).sin() / k for k in range(1, 8)) / 4
    waveform = torch.cat([torch.zeros(4000), tone, torch.zeros(4000)])
    manner = manner_of(Sound(waveform[:, None], SAMPLE_RATE))
    assert manner.seconds == pytest.approx(1.0, abs=0.03)
    assert manner.melody == pytest.approx(cents / 100, rel=0.25)
    loud = 10 * tone.square().mean().log10().item()
    assert manner.level == pytest.approx(loud, abs=1.5)


def test_silence_is_in_no_manner_and_what_nothing_measures_is_refused():
    silent = Sound(torch.zeros(SAMPLE_RATE, 1), SAMPLE_RATE)
    spoken = heard(Script.draw(1, speaking=True))
    assert manner_of(silent) is None
    assert not contrast_of([silent, spoken], ("soft", "loud")).right
    with pytest.raises(ValueError, match=r"sad.*soft"):
        contrast_of([spoken, spoken], ("sad", "glad"))
