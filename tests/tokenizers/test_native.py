"""What the native tokenizers promise beyond the protocol."""

import pytest
import torch
from tiny_tokenizers import NATIVE, audio, media, video

from horsekit.metrics.fidelity import psnr
from horsekit.stage import Script, stage_batch
from horsekit.tokenizers import AudioTokenizer, VideoTokenizer, decode_chunks, decode_tiled


@pytest.mark.parametrize("kind", sorted(NATIVE))
def test_a_better_decoder_leaves_cached_latents_good(kind):
    tokenizer = NATIVE[kind]()
    before = tokenizer.digest
    with torch.no_grad():
        next(tokenizer.refiner.parameters()).add_(1)
    assert tokenizer.digest == before


@pytest.mark.parametrize("kind", sorted(NATIVE))
def test_a_folder_of_another_kind_is_refused(kind, tmp_path):
    tokenizer = NATIVE[kind]()
    tokenizer.save_pretrained(tmp_path)
    other = AudioTokenizer if kind == "video" else VideoTokenizer
    with pytest.raises(ValueError, match="kind"):
        other.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"lacks config\.json"):
        type(tokenizer).from_pretrained(tmp_path / "nowhere")


def test_principal_components_are_whitened():
    tokenizer = video()
    patches = torch.rand(2000, 192) * 2 - 1
    tokenizer.first.fit(patches)
    latents = tokenizer.first.encode(patches)
    assert latents.mean().abs() < 0.01
    torch.testing.assert_close(latents.std(0), torch.ones(24), atol=0.02, rtol=0)


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_channels_that_carry_more_are_larger_by_the_balance(balance):
    tokenizer = VideoTokenizer(
        dim=24, patch=8, width=16, coarse=16, blocks=1, widths=(16, 16), balance=balance
    )
    patches = torch.rand(2000, 192) * 2 - 1
    patches[:, :40] *= 5
    tokenizer.first.fit(patches)
    spread = tokenizer.spread
    assert spread.square().mean().item() == pytest.approx(1)
    ratio = tokenizer.first.deviation[0] / tokenizer.first.deviation[-1]
    assert (spread[0] / spread[-1]).item() == pytest.approx(ratio.item() ** balance, rel=1e-4)
    picture = media(tokenizer, 1)
    latents = tokenizer.encode(picture)
    whitened = tokenizer.first.encode(tokenizer.to_patches(picture / 127.5 - 1)[0])
    torch.testing.assert_close(latents, whitened * spread)


def test_what_stands_still_has_the_latents_of_a_picture():
    tokenizer = video()
    picture = media(tokenizer, 1)
    with torch.inference_mode():
        latents = tokenizer.encode(picture.expand(-1, 9, -1, -1, -1))
    still = 16
    torch.testing.assert_close(latents[:, 1, ..., :still], latents[:, 0, ..., :still], atol=1e-4, rtol=1e-4)
    basis = tokenizer.later.basis
    torch.testing.assert_close(basis.T @ basis, torch.eye(24), atol=1e-5, rtol=0)


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
        torch.testing.assert_close(tokenizer.refiner(logs)[0], torch.full((1, 4, 321), -2.5))


def test_a_decoder_remembers_what_it_has_shown():
    tokenizer = video()
    with torch.inference_mode():
        latents = tokenizer.encode(media(tokenizer, 4))
        other = torch.cat([latents[:, :1].flip(0), latents[:, 1:]], dim=1)
        shown = tokenizer.decode_pixels(latents)
        after_another = tokenizer.decode_pixels(other)
        cut = tokenizer.decode_pixels(latents[:, :2])
    assert not torch.equal(shown[:, -4:], after_another[:, -4:])
    torch.testing.assert_close(shown[:, :5], cut, atol=1e-5, rtol=0)


def test_a_memory_stays_bounded_however_long_a_clip_is():
    tokenizer = video()
    torch.nn.init.normal_(tokenizer.refiner.recall.weight, std=2.0)
    with torch.inference_mode():
        latents = tokenizer.encode(media(tokenizer, 2)[:1])
        long = torch.cat([latents[:, :1], latents[:, 1:].expand(-1, 200, -1, -1, -1)], dim=1)
        pixels = tokenizer.decode_pixels(long)
    assert pixels[:, -40:].abs().max() < 2 * pixels[:, :40].abs().max()


def test_tiles_join_without_seams():
    tokenizer = video()
    content = media(tokenizer, 2).repeat(1, 1, 6, 6, 1)
    with torch.inference_mode():
        latents = tokenizer.encode(content)
        whole = tokenizer.decode(latents).float()
        tiled = decode_tiled(tokenizer.decode, latents, tokenizer.patch, tile=6, overlap=2).float()
    assert tiled.shape == whole.shape
    assert psnr(tiled, whole) > 45, "dB; a refiner that sees over a tile's edge may differ there"
    with pytest.raises(ValueError, match="overlap of 6"):
        decode_tiled(tokenizer.decode, latents, tokenizer.patch, tile=6, overlap=6)


def test_chunks_join_into_the_whole():
    tokenizer = video()
    with torch.inference_mode():
        latents = tokenizer.encode(media(tokenizer, 7))
        chunks = list(decode_chunks(tokenizer.decoder_stream(), latents, 3))
    assert [chunk.shape[1] for chunk in chunks] == [9, 12, 4]
    assert torch.equal(torch.cat(chunks, dim=1), tokenizer.decode(latents))


def test_shipped_latents_of_unseen_characters_are_normalised():
    folder = "horsekit/weights/horse-tiny"
    takes = [clip for clip, _ in stage_batch([Script.draw(seed, split="held_out") for seed in range(12)])]
    pictures = VideoTokenizer.from_pretrained(f"{folder}/video").encode(
        torch.stack([t.frames for t in takes])
    )
    sounds = AudioTokenizer.from_pretrained(f"{folder}/audio").encode(
        torch.stack([t.waveform[:, 0] for t in takes])
    )
    for latents in (pictures, sounds):
        assert latents.mean().abs() < 0.1
        assert latents.std() == pytest.approx(1, abs=0.15), "measured: 0.90 and 1.00 over 128 clips"
