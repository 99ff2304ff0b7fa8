"""The words that are heard are told from others, whoever says them."""

import pytest
import torch

from horsekit.media import Sound
from horsekit.metrics import heard_at, word_distance
from horsekit.stage.speech import SAMPLE_RATE, speak

LINES = ("good morning my friend", "the train leaves at nine", "nobody saw the blue whale")


def said(text: str, **how) -> Sound:
    return Sound(speak(text, **how).waveform[:, None], SAMPLE_RATE)


@pytest.mark.parametrize("line", LINES)
def test_the_same_words_are_nearest_in_another_voice_at_another_pace(line):
    heard = said(line, variant="f2", pitch=70, rate=215)
    distances = {other: word_distance(heard, said(other)) for other in LINES}
    assert min(distances, key=distances.get) == line


def test_a_sound_is_no_distance_from_itself_whatever_its_level_and_silence_around_it():
    one = said(LINES[0])
    padded = torch.nn.functional.pad(0.3 * one.waveform, (0, 0, 4000, 2000))
    assert word_distance(one, one) == pytest.approx(0, abs=1e-6)
    assert word_distance(Sound(padded, SAMPLE_RATE), one) < 0.1


@pytest.mark.parametrize("samples", [100, 16_000])
def test_silence_says_nothing(samples):
    assert word_distance(Sound(torch.zeros(samples, 1), SAMPLE_RATE), said(LINES[0])) is None


@pytest.mark.parametrize("line", LINES)
def test_each_word_is_found_where_it_is_heard(line):
    """At half the pace and half a second later, the same phonemes are found at their own times."""
    asked, heard = speak(line, rate=200), speak(line, rate=130)
    later = Sound(torch.nn.functional.pad(heard.waveform, (8000, 0))[:, None], SAMPLE_RATE)
    of = [[p.centre for p in speech.phonemes if p.symbol] for speech in (asked, heard)]
    found = heard_at(later, Sound(asked.waveform[:, None], SAMPLE_RATE), torch.tensor(of[0]).double())
    error = (found - torch.tensor(of[1]).double() - 0.5).abs()
    assert error.median() < 0.02 and error.max() < 0.12


def test_silence_is_nowhere_heard():
    assert heard_at(Sound(torch.zeros(16_000, 1), SAMPLE_RATE), said(LINES[0]), torch.zeros(1)) is None
