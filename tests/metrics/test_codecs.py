"""The table of tokenizers, over the ones that ship."""

import math

import pytest
import torch

from horsekit.media import Sound
from horsekit.metrics import codecs
from horsekit.tokenizers import load_tokenizers


@pytest.fixture(scope="module")
def measured():
    return codecs.measure_tokenizers(load_tokenizers("horsekit/weights/horse-tiny"), clips=4, sizes=(64,))


def test_every_native_tokenizer_has_its_line_beside_the_published_ones(measured):
    lines = codecs.table([*measured, *codecs.PUBLISHED]).splitlines()
    assert len(lines) == 1 + 3 + len(codecs.PUBLISHED)
    assert all("measured here" in line for line in lines[1:4])
    assert not any("measured here" in line for line in lines[4:])


def test_the_figures_of_the_shipped_ones_are_those_of_their_layout(measured):
    video, audio, text = measured
    assert video.compression == 3 * 4 * 16 * 16 / 96 and video.tokens_per_second == 25 / 4 * 16
    assert audio.compression == 10 and audio.tokens_per_second == 25
    assert video.quality["psnr"] > 20 and audio.quality["onset_error_ms"] < 40
    assert text.quality["lossless"] == 1 and text.compression > 1
    assert video.decode > 1 and audio.decode > 1, "faster than real time"


def test_a_recording_has_a_line_of_its_own(tmp_path):
    time = torch.arange(22_050) / 22_050
    buzz = 0.3 * torch.sign(torch.sin(2 * torch.pi * 150 * time)) * (time > 0.3)
    path = Sound(buzz[:, None], 22_050).save(tmp_path / "buzz.wav")
    tokenizers = load_tokenizers("horsekit/weights/horse-tiny")
    audio, buzzing, _ = codecs.measure_tokenizers(tokenizers, 4, sizes=(), recordings=[path])
    assert buzzing.name == "spectral-audio, buzz.wav (1.0 s at 22.05 kHz)" and buzzing.layout == audio.layout
    assert 0 < buzzing.quality["mel_distance"] < 6 and buzzing.quality["onset_error_ms"] < 20


def test_its_values_are_plain_numbers(measured):
    for row in codecs.data(measured):
        assert all(math.isfinite(value) for value in row["quality"].values())
