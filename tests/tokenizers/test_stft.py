"""Spectra and back: closed forms of the phases' slopes, and waveforms out of magnitudes."""

import math

import pytest
import torch

from horsekit.tokenizers.stft import FFT, HOP, between, inverse, phase_slopes, spectrum, waveform_of

RATE, WINDOW = 16_000, torch.hann_window(FFT)
TIME = torch.arange(RATE) / RATE


def logs_of(waveform):
    return (spectrum(waveform, WINDOW).abs() + 1e-5).log()


def wrapped(angle):
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi


def test_a_waveform_comes_back_from_its_spectra():
    waveform = torch.randn(2, 40 * HOP, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(inverse(spectrum(waveform, WINDOW), WINDOW), waveform, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("hertz", [437.0, 1000.0, 3017.5])
def test_the_phases_of_a_tone_turn_by_its_frequency(hertz):
    in_time, _ = phase_slopes(logs_of((2 * math.pi * hertz * TIME).sin()[None]))
    loudest = round(hertz * FFT / RATE)
    wrong = wrapped(in_time[0, 20:80, loudest] - 2 * math.pi * hertz * HOP / RATE)
    assert wrong.abs().max() < 0.05


@pytest.mark.parametrize("sample", [8000, 8043, 8117])
def test_the_phases_of_a_click_turn_by_its_place_in_the_frame(sample):
    waveform = torch.zeros(1, RATE)
    waveform[0, sample] = 1
    spectra = spectrum(waveform, WINDOW)
    slope = between(phase_slopes(logs_of(waveform))[1], 2)
    frame = sample // HOP  # the click is nearest to its middle
    turn = (spectra[0, frame, 1:] * spectra[0, frame, :-1].conj()).angle()
    assert wrapped(slope[0, frame] - turn)[20:-20].abs().max() < 0.25


def test_tones_and_clicks_come_back_from_magnitudes_alone():
    waveform = sum((2 * math.pi * f * TIME).sin() for f in (210.0, 420.0, 630.0, 1900.0)) * 0.1
    waveform[8000:8004] += 0.9
    true = spectrum(waveform[None], WINDOW).abs()
    made = waveform_of(true, phase_slopes((true + 1e-5).log()), WINDOW)
    assert made.shape == (1, RATE)
    error = (spectrum(made, WINDOW).abs() - true).square().sum() / true.square().sum()
    assert 10 * error.log10() < -20, "in dB: what is left between the spectra asked for and those made"
    high = made - torch.nn.functional.avg_pool1d(made[:, None], 9, 1, 4)[:, 0]
    assert abs(int(high.abs().argmax()) - 8002) <= 0.005 * RATE


def test_silence_stays_silent():
    nothing = torch.zeros(1, 12, FFT // 2 + 1)
    assert not waveform_of(nothing, phase_slopes(nothing - 7), WINDOW).any()
