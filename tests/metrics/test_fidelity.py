"""The measures of a round trip know what was done to a clip or a sound."""

import pytest
import torch

from horsekit.metrics.fidelity import (
    flicker_ratio,
    gradient_ratio,
    mel_distance,
    mel_weights,
    onset_error,
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


def test_an_onset_moved_by_7_ms_is_found():
    true = 1e-3 * noise(3, RATE)
    made = true.clone()
    true[:, 4000:6000] += noise(3, 2000, seed=2)
    made[:, 4112:6112] += noise(3, 2000, seed=2)
    assert onset_error(made, true, RATE) == pytest.approx(7, abs=0.5)
