"""The measures of a round trip know what was done to a clip or a sound."""

import math

import pytest
import torch

from horsekit.metrics.fidelity import (
    flicker_ratio,
    gradient_ratio,
    mel_distance,
    mel_weights,
    onset_error,
    onsets,
    psnr,
    si_sdr,
    ssim,
    stft_distance,
)

RATE = 16_000


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def frames(seed: int = 0) -> torch.Tensor:
    return torch.randint(
        40, 200, (2, 5, 32, 32, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )


def test_pictures_of_a_known_error():
    true = frames()
    made = true + 10
    assert psnr(made, true) == pytest.approx(20 * torch.tensor(25.5).log10().item(), abs=1e-3)
    assert ssim(true, true) == pytest.approx(1)
    assert ssim(frames(1), true) < 0.1
    halved = (true.float() * 0.5).round().to(torch.uint8)
    assert gradient_ratio(halved, true) == pytest.approx(0.25, abs=0.01)
    assert flicker_ratio(halved, true) == pytest.approx(0.25, abs=0.01)


def test_signal_to_distortion_is_that_of_the_noise_put_in_whatever_the_loudness():
    true, added = noise(4, RATE), noise(4, RATE, seed=1)
    assert si_sdr(3 * (true + 0.1 * added), true) == pytest.approx(20, abs=0.2)


def test_spectral_distances_are_those_of_a_gain():
    true = noise(2, RATE)
    for distance in (stft_distance, lambda made, of: mel_distance(made, of, RATE)):
        assert distance(true, true) == 0
        faint, fainter = distance(0.01 * true, 0.1 * true), distance(0.001 * true, 0.01 * true)
        # two windows, each a decade in magnitude and so two in its square; what is left is linear in the sound
        assert (10 * fainter - faint) / 9 == pytest.approx(4, abs=0.02)


def test_mel_filters_have_unit_area_and_rise_with_frequency():
    weights = mel_weights(2048, 80, RATE)
    assert weights.shape == (1025, 80)
    torch.testing.assert_close(weights.sum(0) * RATE / 2048, torch.ones(80), atol=0.12, rtol=0)
    assert (weights.argmax(0).diff() >= 0).all()


def bursts(*starts: int) -> torch.Tensor:
    """A quiet second with 0.12 s of louder noise from each of the samples on."""
    waveform = 1e-3 * noise(1, RATE)
    for k, start in enumerate(starts):
        waveform[:, start : start + 1920] += noise(1, 1920, seed=k + 2)
    return waveform


def test_onsets_moved_by_7_ms_are_found():
    made, true = bursts(4112, 9112), bursts(4000, 9000)
    off, found = onset_error(made, true, RATE)
    assert off == pytest.approx(7, abs=0.5) and found == 1
    assert onsets(true, RATE)[0].nonzero()[:, 0].tolist() == pytest.approx([250, 562], abs=3)


def test_onsets_that_are_missing_or_too_many_are_not_found():
    off, found = onset_error(bursts(4000), bursts(4000, 9000), RATE)
    assert off == pytest.approx(0, abs=0.5) and found == pytest.approx(2 / 3)
    off, found = onset_error(bursts(4000, 9000), bursts(9000), RATE)
    assert off == pytest.approx(0, abs=0.5) and found == pytest.approx(2 / 3)


def test_onsets_of_another_sound_are_not_found():
    off, found = onset_error(bursts(4000), bursts(6000), RATE)
    assert math.isnan(off) and found == 0


def test_silence_has_no_onsets():
    silence = torch.zeros(2, RATE)
    assert not onsets(silence, RATE).any()
    assert all(map(math.isnan, onset_error(silence, silence, RATE)))
