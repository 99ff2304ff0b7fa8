"""Sound as people have it, of any rate and any number of channels, through the native tokenizer."""

import av
import numpy as np
import pytest
import torch

from horsekit.media import MediaError, Sound
from horsekit.tokenizers import AudioTokenizer

SHIPPED = AudioTokenizer.from_pretrained("horsekit/weights/horse-tiny/audio")
RATE = SHIPPED.spec.sample_rate


def recorded(path, waveform: torch.Tensor, rate: int, layout: str) -> Sound:
    """The waveform [S, C] written as a WAV file of 32-bit floats and opened again."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=rate, layout=layout)
        block = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(waveform.numpy().reshape(1, -1)), format="flt", layout=layout
        )
        block.sample_rate = rate
        container.mux([*stream.encode(block), *stream.encode(None)])
    return Sound.open(path)


@torch.inference_mode()
def through(sound: Sound) -> tuple[torch.Tensor, torch.Tensor]:
    """What the tokenizer is given, and what it gives back."""
    given = sound.mono().resampled(RATE).waveform.T
    return given, SHIPPED.decode(SHIPPED.encode(given))[:, : given.shape[1]]


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_any_rate_and_layout_keeps_its_time_and_length(tmp_path, rate, layout):
    channels = {"mono": [1.0], "stereo": [1.0, 1.0], "5.1": [0.0, 0, 1, 0, 0, 0]}[layout]
    seconds = torch.arange(rate) / rate
    tone = 0.5 * torch.sin(2 * torch.pi * 440 * seconds) * ((seconds > 0.4) & (seconds < 0.6))
    waveform = tone[:, None] * torch.tensor(channels)
    given, made = through(recorded(tmp_path / "a.wav", waveform, rate, layout))
    assert given.shape == made.shape == (1, RATE)
    energy = made[0].square()
    assert (energy * torch.arange(RATE)).sum() / energy.sum() / RATE == pytest.approx(0.5, abs=0.01)
    assert energy.sum() == pytest.approx(given.square().sum().item(), rel=0.35)


def test_surround_is_mixed_as_players_mix_it(tmp_path):
    """A voice in the middle is 3 dB below one in both speakers, what is behind 9, and the lowest is left out."""
    levels = []
    for channel in range(6):
        waveform = torch.zeros(RATE, 6)
        waveform[:, channel] = 0.5 * torch.sin(2 * torch.pi * 440 * torch.arange(RATE) / RATE)
        sound = recorded(tmp_path / "a.wav", waveform, RATE, "5.1")
        assert sound.waveform.shape == (RATE, 2)
        levels.append(sound.mono().waveform.abs().max().item() / 0.5)
    front, behind = 0.5, 0.5 * 0.5**0.5
    assert levels == pytest.approx([front, front, 0.5**0.5, 0, behind, behind], abs=0.01)


def test_a_file_with_nan_is_named(tmp_path):
    with pytest.raises(MediaError, match=r"a\.wav .*NaN or infinity.*again"):
        recorded(tmp_path / "a.wav", torch.full((RATE, 1), torch.nan), RATE, "mono")


def test_sound_longer_than_memory_is_refused_before_it_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr("horsekit.media.container.MAX_BYTES", 100_000)
    recorded(tmp_path / "a.wav", torch.zeros(24_000, 1), RATE, "mono")
    with pytest.raises(MediaError, match=r"a\.wav is too long: its sound passes .* Cut it"):
        recorded(tmp_path / "a.wav", torch.zeros(26_000, 1), RATE, "mono")


def test_silence_stays_silent(tmp_path):
    _, made = through(recorded(tmp_path / "a.wav", torch.zeros(RATE, 1), RATE, "mono"))
    assert made.abs().max() < 0.01


def test_what_is_clipped_or_beyond_full_scale_stays_finite(tmp_path):
    square = 3.0 * torch.sign(torch.sin(2 * torch.pi * 150 * torch.arange(RATE) / RATE))[:, None]
    given, made = through(recorded(tmp_path / "a.wav", square, RATE, "mono"))
    assert given.abs().max() <= 1.1
    assert torch.isfinite(made).all() and made.square().mean().sqrt() > 0.5
