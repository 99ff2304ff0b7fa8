"""What every tokenizer of pictures and sound must do."""

import pytest
import torch

from horsekit import clock
from horsekit.tokenizers import AudioTokenizer, LatentTokenizer, VideoTokenizer


def video() -> VideoTokenizer:
    torch.manual_seed(0)
    tokenizer = VideoTokenizer(dim=24, width=16, blocks=1)
    tokenizer.first.fit(torch.rand(2000, 768) * 2 - 1)
    tokenizer.later.fit((torch.rand(2000, 1, 768) * 2 - 1).expand(-1, 4, -1).reshape(2000, -1))
    return tokenizer.eval()


def audio() -> AudioTokenizer:
    torch.manual_seed(0)
    tokenizer = AudioTokenizer(dim=32, bands=48, width=16, blocks=1)
    noise = torch.randn(16, 6400) * torch.rand(16, 1) * torch.linspace(0, 1, 6400)
    logs = tokenizer.log_bands(noise)
    tokenizer.basis.fit(logs.unfold(1, 4, 1).transpose(2, 3).flatten(2).flatten(0, 1))
    return tokenizer.eval()


BUILDERS = {"video": video, "audio": audio}


def media(kind: str, tokens: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(tokens)
    if kind == "video":
        shape = (2, clock.latent_frames(tokens), 32, 48, 3)
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    return torch.rand(2, 640 * tokens, generator=generator) - 0.5


@pytest.fixture(params=sorted(BUILDERS), scope="module")
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def tokenizer(kind: str) -> LatentTokenizer:
    return BUILDERS[kind]()


@pytest.mark.parametrize("tokens", [1, 2, 5])
def test_the_length_is_exact(kind, tokenizer, tokens):
    content = media(kind, tokens)
    with torch.inference_mode():
        latents = tokenizer.encode(content)
        assert latents.shape[:2] == (2, tokens) and latents.shape[-1] == tokenizer.spec.dim
        assert tokenizer.decode(latents).shape == content.shape


def test_positions_tile_the_clip_without_gaps(kind, tokenizer):
    spans = tokenizer.positions(6, origin=2.0)
    assert spans.dtype == torch.float64 and spans[0, 0] == 2.0
    assert torch.equal(spans[1:, 0], spans[:-1, 1])
    frames = clock.latent_frames(6) if kind == "video" else 6
    assert spans[-1, 1] == pytest.approx(2.0 + clock.duration(frames))


def test_decoding_is_deterministic_and_samples_do_not_mix(kind, tokenizer):
    content = media(kind, 3)
    with torch.inference_mode():
        together = tokenizer.decode(tokenizer.encode(content))
        again = tokenizer.decode(tokenizer.encode(content))
        alone = tokenizer.decode(tokenizer.encode(content[1:]))
    assert torch.equal(together, again)
    torch.testing.assert_close(
        together[1:].float(), alone.float(), atol=1.0 if kind == "video" else 2e-3, rtol=0
    )


def test_save_and_load_keep_what_matters(kind, tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path, dtype=torch.float32)
    again = type(tokenizer).from_pretrained(tmp_path)
    content = media(kind, 2)
    with torch.inference_mode():
        assert torch.equal(again.encode(content), tokenizer.encode(content))
    assert again.digest == tokenizer.digest
    with torch.no_grad():
        next(again.refiner.parameters()).add_(1)
    assert again.digest == tokenizer.digest, "a better decoder leaves cached latents good"


def test_the_future_does_not_change_the_past_of_a_causal_one(kind, tokenizer):
    if not tokenizer.spec.causal:
        pytest.skip("not causal, and its spec says so")
    content = media(kind, 4)
    changed = content.clone()
    changed[:, clock.latent_frames(2) :] = 0
    with torch.inference_mode():
        assert torch.equal(tokenizer.encode(content)[:, :2], tokenizer.encode(changed)[:, :2])


def test_nothing_and_nan_are_refused(kind, tokenizer):
    empty = media(kind, 1)[:0]
    with pytest.raises(ValueError, match="empty"):
        tokenizer.encode(empty)
    latents = tokenizer.encode(media(kind, 2)).clone()
    latents.view(-1)[3] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        tokenizer.decode(latents)


def test_a_folder_of_another_kind_is_refused(kind, tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    other = AudioTokenizer if kind == "video" else VideoTokenizer
    with pytest.raises(ValueError, match="kind"):
        other.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"lacks config\.json"):
        type(tokenizer).from_pretrained(tmp_path / "nowhere")


def test_a_picture_is_the_first_frame_of_a_clip():
    tokenizer, content = video(), media("video", 3)
    with torch.inference_mode():
        assert torch.equal(tokenizer.encode(content[:, :1]), tokenizer.encode(content)[:, :1])


def test_awkward_sizes_are_named():
    with pytest.raises(ValueError, match="multiples of 16"):
        video().encode(torch.zeros(1, 1, 30, 32, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match="4k"):
        video().encode(torch.zeros(1, 4, 32, 32, 3, dtype=torch.uint8))


def test_principal_components_are_whitened():
    tokenizer = video()
    patches = torch.rand(2000, 768) * 2 - 1
    tokenizer.first.fit(patches)
    latents = tokenizer.first.encode(patches)
    assert latents.mean().abs() < 0.01
    torch.testing.assert_close(latents.std(0), torch.ones(24), atol=0.02, rtol=0)


def test_sound_of_any_length_is_padded_to_whole_tokens():
    with torch.inference_mode():
        assert audio().encode(torch.rand(1, 641) - 0.5).shape[1] == 2


def test_shipped_sound_keeps_its_time_and_its_silence():
    folder = "horsekit/weights/horse-tiny/audio"
    tokenizer = AudioTokenizer.from_pretrained(folder)
    for onset in (2000, 7777, 15000):
        waveform = torch.zeros(1, 20480)
        burst = torch.sin(torch.arange(800) * 0.3) * torch.hann_window(800)
        waveform[0, onset : onset + 800] = 0.5 * burst
        with torch.inference_mode():
            made = tokenizer.decode(tokenizer.encode(waveform))[0]
        energy = made.square()
        centre = (energy * torch.arange(20480)).sum() / energy.sum()
        assert abs(centre - (onset + 400)) < 160, "one hop"
    with torch.inference_mode():
        silence = tokenizer.decode(tokenizer.encode(torch.zeros(1, 6400)))
    assert silence.abs().max() < 0.01


def test_equal_bands_make_an_even_spectrum():
    tokenizer = audio()
    logs = torch.full((1, 4, 48), -2.5)
    with torch.inference_mode():
        torch.testing.assert_close(tokenizer.refiner(logs), torch.full((1, 4, 321), -2.5))
