"""Sounds: resampling in place, and WAV files."""

import wave

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from horsekit.media import MediaError, Sound, resample


def sine(pitch: float, rate: int, seconds: float = 0.5) -> torch.Tensor:
    time = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    return (0.5 * torch.sin(2 * torch.pi * pitch * time)).float()[:, None]


@pytest.mark.parametrize(
    ("rate_in", "rate_out"), [(48000, 16000), (16000, 48000), (44100, 16000), (22050, 16000), (51200, 16000)]
)
def test_a_tone_is_resampled_in_place(rate_in, rate_out):
    made, wanted = resample(sine(1000, rate_in), rate_in, rate_out), sine(1000, rate_out)
    assert made.shape == wanted.shape
    edge = round(0.02 * rate_out)
    assert (made - wanted)[edge:-edge].abs().max() < 2e-4


def test_what_lies_above_the_new_band_is_gone():
    made = resample(sine(10000, 48000), 48000, 16000)
    assert made[400:-400].abs().max() < 1e-3


def test_the_upper_band_survives():
    made = resample(sine(7000, 48000), 48000, 16000)
    assert abs(made[400:-400].abs().max() - 0.5) < 0.01


@settings(max_examples=10, deadline=None)
@given(st.integers(4000, 60000), st.integers(4000, 60000), st.integers(1, 400))
def test_any_pair_of_rates_keeps_the_level_and_the_length(rate_in, rate_out, samples):
    made = resample(torch.full((samples + 200, 2), 0.25), rate_in, rate_out)
    assert abs(len(made) - (samples + 200) * rate_out / rate_in) <= 0.5
    if (middle := len(made) // 2) and (samples + 200) * min(1.0, rate_out / rate_in) > 80:
        assert (made[middle] - 0.25).abs().max() < 1e-3


def test_a_long_sound_does_not_drift():
    impulse = torch.zeros(48000 * 60, 1)
    impulse[47999 * 60] = 1.0
    made = resample(impulse, 48000, 16000)
    assert int(made[:, 0].argmax()) == round(47999 * 60 / 3)


def test_wav_round_trip(tmp_path):
    sound = Sound(torch.cat([sine(440, 16000), sine(660, 16000)], 1), 16000)
    again = Sound.open(sound.save(tmp_path / "a.wav"))
    assert again.sample_rate == 16000 and again.waveform.shape == sound.waveform.shape
    assert (again.waveform - sound.waveform).abs().max() < 1e-4
    assert again.seconds == 0.5
    assert [file.name for file in tmp_path.iterdir()] == ["a.wav"]


@pytest.mark.parametrize("width", [1, 2, 4])
def test_any_sample_width(tmp_path, width):
    values = (sine(440, 8000)[:, 0].double() * (2 ** (8 * width - 1) - 1)).round().to(torch.int64)
    values = values + 128 if width == 1 else values
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(8000)
        file.writeframes(b"".join(int(v).to_bytes(width, "little", signed=width > 1) for v in values))
    sound = Sound.open(tmp_path / "a.wav")
    assert (sound.waveform - sine(440, 8000)).abs().max() < 2 / 2 ** min(15, 8 * width - 1)


def test_mono_is_the_mean_and_resampled_keeps_the_length():
    sound = Sound(torch.cat([torch.full((480, 1), 0.2), torch.full((480, 1), 0.6)], 1), 48000)
    assert torch.allclose(sound.mono().waveform, torch.full((480, 1), 0.4))
    assert sound.resampled(16000).waveform.shape == (160, 2)


def test_values_beyond_full_scale_are_clipped_and_not_wrapped(tmp_path):
    again = Sound.open(Sound(torch.tensor([[2.0], [-2.0]]), 16000).save(tmp_path / "a.wav"))
    assert again.waveform.sign().flatten().tolist() == [1, -1]


@pytest.mark.parametrize(
    ("waveform", "rate", "message"),
    [
        (torch.zeros(10), 16000, r"\[:, None\]"),
        (torch.zeros(10, 1).double(), 16000, "float32"),
        (torch.zeros(10, 0), 16000, "channels"),
        (torch.zeros(10, 1), 0, "0 Hz"),
        (torch.tensor([[0.0], [float("inf")], [float("nan")]]), 16000, "2 of 3"),
    ],
)
def test_a_waveform_that_cannot_be_is_refused(waveform, rate, message):
    with pytest.raises(MediaError, match=message):
        Sound(waveform, rate)


def test_only_wav_is_written(tmp_path):
    with pytest.raises(MediaError, match=r"saved as \.wav"):
        Sound(torch.zeros(10, 1), 16000).save(tmp_path / "a.mp3")


def test_a_notebook_plays_it():
    assert "data:audio/wav;base64," in Sound(torch.zeros(10, 1), 16000)._repr_html_()
