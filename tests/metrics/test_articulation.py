"""Mouths that go with their sound are told from mouths that do not."""

from dataclasses import replace

import pytest
import torch

from horsekit.media import Clip
from horsekit.metrics import MouthTrace, articulation
from horsekit.stage.speech import SAMPLE_RATE, Speech, speak
from horsekit.stage.visemes import mouth_track

LINE = "they asked about a yellow apple and some cherry jam"


def said(line: Speech) -> tuple[MouthTrace, Clip]:
    """The mouth and the sound of a line, half a second after the clip begins."""
    quiet = torch.zeros(SAMPLE_RATE // 2)
    waveform = torch.cat([quiet, line.waveform, quiet])
    frames = len(waveform) * 25 // SAMPLE_RATE
    late = tuple(replace(p, start=p.start + 0.5, end=p.end + 0.5) for p in line.phonemes)
    clip = Clip(torch.zeros(frames, 4, 4, 3, dtype=torch.uint8), waveform[: frames * 640, None])
    return MouthTrace(mouth_track(late, frames)[:, 0]), clip


def test_a_mouth_that_says_the_line_closes_and_opens_with_it_in_any_voice_at_any_pace():
    asked = speak(LINE)
    for spoken in (asked, speak(LINE, variant="f2", pitch=70, rate=150)):
        found = articulation(*said(spoken), asked)
        assert found.closures >= 0.75 and found.shapes > 0.7 and not found.reason
        assert found.phonemes >= 15


@pytest.mark.parametrize("shift", [-5, 4])
def test_a_mouth_that_is_late_or_early_does_not(shift):
    mouth, clip = said(speak(LINE))
    found = articulation(MouthTrace(mouth.aperture.roll(shift)), clip, speak(LINE))
    assert found.closures <= 0.5 and found.shapes < 0.55


def test_a_mouth_that_stays_open_makes_no_closure():
    mouth, clip = said(speak(LINE))
    assert articulation(MouthTrace(0 * mouth.aperture + 0.6), clip, speak(LINE)).closures == 0
    assert articulation(mouth, clip, speak("see the green tree")).closures is None  # no lips asked for


def test_what_cannot_be_compared_counts_as_wrong_and_says_why():
    mouth, clip = said(speak(LINE))
    silent = Clip(clip.frames, 0 * clip.waveform)
    for found in (
        articulation(mouth, silent, speak(LINE)),
        articulation(MouthTrace(reason="no face in view"), clip, speak(LINE)),
    ):
        assert found.reason and found.closures == 0 and found.shapes == 0
