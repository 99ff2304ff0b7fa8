"""What every tokenizer of pictures and sound must do, native or published."""

import itertools

import pytest
import torch
from tiny_tokenizers import AUDIO, BUILDERS, VIDEO, media

from horsekit import clock
from horsekit.metrics.fidelity import psnr
from horsekit.tokenizers import LatentTokenizer, decode_tiled


@pytest.fixture(params=sorted(BUILDERS), scope="module")
def tokenizer(request: pytest.FixtureRequest) -> LatentTokenizer:
    return BUILDERS[request.param]()


@pytest.mark.parametrize("tokens", [1, 2, 5])
def test_the_length_is_exact(tokenizer, tokens):
    content = media(tokenizer, tokens)
    with torch.inference_mode():
        latents = tokenizer.encode(content)
        assert latents.shape[:2] == (2, tokens) and latents.shape[-1] == tokenizer.spec.dim
        assert tokenizer.decode(latents).shape == content.shape


def test_positions_tile_the_clip_without_gaps(tokenizer):
    spans = tokenizer.positions(6, origin=2.0)
    assert spans.dtype == torch.float64 and spans[0, 0] == 2.0
    assert torch.equal(spans[1:, 0], spans[:-1, 1])
    video = tokenizer.spec.modality == "video"
    frames = clock.latent_frames(6, tokenizer.spec.strides[0]) if video else 6
    assert spans[-1, 1] == pytest.approx(2.0 + clock.duration(frames))


def test_decoding_is_deterministic_and_samples_do_not_mix(tokenizer):
    content = media(tokenizer, 3)
    with torch.inference_mode():
        together = tokenizer.decode(tokenizer.encode(content))
        again = tokenizer.decode(tokenizer.encode(content))
        alone = tokenizer.decode(tokenizer.encode(content[1:]))
    assert torch.equal(together, again)
    step = 1.0 if tokenizer.spec.modality == "video" else 2e-3
    torch.testing.assert_close(together[1:].float(), alone.float(), atol=step, rtol=0)


def test_save_and_load_keep_what_matters(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path, dtype=torch.float32)
    again = type(tokenizer).from_pretrained(tmp_path)
    content = media(tokenizer, 2)
    with torch.inference_mode():
        latents = tokenizer.encode(content)
        assert torch.equal(again.encode(content), latents)
        assert torch.equal(again.decode(latents), tokenizer.decode(latents))
    assert again.digest == tokenizer.digest


@pytest.mark.parametrize("tokenizer", VIDEO, indirect=True)
def test_the_future_does_not_change_the_past_of_a_causal_one(tokenizer):
    assert tokenizer.spec.causal
    content = media(tokenizer, 4)
    changed = content.clone()
    changed[:, clock.latent_frames(2, tokenizer.spec.strides[0]) :] = 0
    with torch.inference_mode():
        before, after = tokenizer.encode(content), tokenizer.encode(changed)
    torch.testing.assert_close(before[:, :2], after[:, :2], atol=1e-5, rtol=0)
    assert not torch.equal(before[:, 2:], after[:, 2:])


@pytest.mark.parametrize("tokenizer", VIDEO, indirect=True)
def test_a_picture_is_the_first_frame_of_a_clip(tokenizer):
    content = media(tokenizer, 3)
    with torch.inference_mode():
        alone, within = tokenizer.encode(content[:, :1]), tokenizer.encode(content)[:, :1]
    torch.testing.assert_close(alone, within, atol=1e-5, rtol=0)


@pytest.mark.parametrize("tokenizer", VIDEO, indirect=True)
def test_awkward_sizes_are_named(tokenizer):
    group, side, _ = tokenizer.spec.strides
    with pytest.raises(ValueError, match=f"multiples of {side}"):
        tokenizer.encode(torch.zeros(1, 1, side - 2, side, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match=f"{group}k"):
        tokenizer.encode(torch.zeros(1, group, side, side, 3, dtype=torch.uint8))


@pytest.mark.parametrize("tokenizer", AUDIO, indirect=True)
def test_sound_of_any_length_is_padded_to_whole_tokens(tokenizer):
    content = media(tokenizer, 1)
    one_more = torch.cat([content, content[:, :1]], dim=1)
    with torch.inference_mode():
        assert tokenizer.encode(one_more).shape[1] == 2


def test_nothing_and_nan_are_refused(tokenizer):
    empty = media(tokenizer, 1)[:0]
    with pytest.raises(ValueError, match="empty"):
        tokenizer.encode(empty)
    broken = media(tokenizer, 1).float()
    broken.view(-1)[3] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        tokenizer.encode(broken)
    latents = tokenizer.encode(media(tokenizer, 2)).clone()
    latents.view(-1)[3] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        tokenizer.decode(latents)


def joined(stream, content, sizes):
    """What a stream makes of content that comes in pieces of these sizes, over and over."""
    made, start = [], 0
    for size in itertools.cycle(sizes):
        if start >= content.shape[1]:
            break
        made.append(stream.push(content[:, start : start + size]))
        start += size
    made.append(stream.flush())
    return torch.cat([piece for piece in made if piece is not None], dim=1)


def many(tokenizer: LatentTokenizer, few: int) -> int:
    """Latents enough for a stream to leave some behind: sound's reach further."""
    return few if tokenizer.spec.modality == "video" else 30


@pytest.mark.parametrize("pieces", [(1, 3), (7,), (1000, 1)])
def test_encoding_as_it_comes_is_encoding_at_once(tokenizer, pieces):
    content = media(tokenizer, many(tokenizer, 4))
    scale = 1 if tokenizer.spec.modality == "video" else content.shape[1] // 20
    with torch.inference_mode():
        streamed = joined(tokenizer.encoder_stream(), content, [scale * n for n in pieces])
        torch.testing.assert_close(streamed, tokenizer.encode(content), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pieces", [(1,), (2, 3)])
def test_decoding_as_it_comes_is_decoding_at_once(tokenizer, pieces):
    with torch.inference_mode():
        latents = tokenizer.encode(media(tokenizer, many(tokenizer, 5)))
        streamed = joined(tokenizer.decoder_stream(), latents, pieces)
        whole = tokenizer.decode(latents)
    step = 1.0 if tokenizer.spec.modality == "video" else 1e-5  # frames are rounded to 256 levels
    torch.testing.assert_close(streamed.float(), whole.float(), atol=step, rtol=0)


def test_a_stream_gives_back_what_is_settled(tokenizer):
    count = many(tokenizer, 4)
    content = media(tokenizer, count)
    ahead, behind = tokenizer.spec.lookahead, tokenizer.decoder_reach[1] or 0
    with torch.inference_mode():
        settled = tokenizer.encoder_stream().push(content)
        made = tokenizer.decoder_stream().push(tokenizer.encode(content))
    assert ahead < count and settled.shape[1] == count - ahead
    if tokenizer.kind == "ltx-2":
        assert made is None, "it looks as far ahead as the clip goes"
    else:
        assert behind < count and made.shape[1] == tokenizer.spec.steps(count - behind)


# dB of clips decoded in tiles against clips decoded whole; published ones see further than a tile's overlap
TILED_PSNR = {"video": 45, "wan": 25, "ltx2": 20}


@pytest.mark.parametrize("name", VIDEO)
def test_tiles_come_close_to_the_whole(name):
    tokenizer = BUILDERS[name]()
    coarse = media(tokenizer, 2)[:1, :, ::8, ::8].permute(0, 4, 1, 2, 3).float()
    size = (coarse.shape[2], 5 * tokenizer.spec.strides[1], 5 * tokenizer.spec.strides[2])
    smooth = torch.nn.functional.interpolate(coarse, size, mode="trilinear").permute(0, 2, 3, 4, 1)
    with torch.inference_mode():
        latents = tokenizer.encode(smooth.to(torch.uint8))
        whole = tokenizer.decode(latents)
        tiled = decode_tiled(tokenizer.decode, latents, tokenizer.spec.strides[1], tile=4, overlap=2)
    assert tiled.shape == whole.shape
    assert psnr(tiled, whole) > TILED_PSNR[name]
