"""Packing: nothing is lost, nothing is mixed, and every token keeps its place in time."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from horsekit.sequence import (
    MAX_VOICE,
    Modality,
    Role,
    Sequence,
    audio_segment,
    from_patches,
    pack,
    reference_segment,
    text_segment,
    to_patches,
    unpack,
    video_segment,
    voice_segment,
)
from horsekit.transformer.attention import rotary

sizes = st.tuples(
    st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 9), st.integers(1, 6)
)


def sample(size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    frames, height, width, sound, words = size
    return (
        torch.randn(frames, height, width, 8, generator=generator),
        torch.randn(sound, 3, generator=generator),
        torch.randint(0, 50, (words,), generator=generator),
    )


def laid_out(video, audio, text, pictures=0):
    references = [reference_segment(video[:1], slot=1, index=i) for i in range(pictures)]
    return Sequence((video_segment(video), audio_segment(audio), text_segment(text), *references))


@settings(deadline=None, max_examples=50)
@given(st.lists(sizes, min_size=1, max_size=4))
def test_samples_of_any_size_come_back_as_they_were(shapes):
    samples = [sample(shape, seed) for seed, shape in enumerate(shapes)]
    batch = pack([laid_out(*s) for s in samples])
    stream = batch.main
    for (video, audio, _), made in zip(samples, unpack(batch, stream.video, stream.audio), strict=True):
        assert torch.equal(video, made[0]) and torch.equal(audio, made[1])


@settings(deadline=None, max_examples=50)
@given(st.lists(sizes, min_size=1, max_size=4))
def test_reading_in_order_gives_each_sample_its_video_audio_and_words(shapes):
    stream = pack([laid_out(*sample(shape)) for shape in shapes]).main
    assert torch.equal(stream.order[stream.inverse], torch.arange(len(stream.order)))
    samples, kinds = stream.sample[stream.order], stream.modality[stream.order]
    expected = [
        (index, kind)
        for index, (frames, height, width, sound, words) in enumerate(shapes)
        for kind, count in enumerate((frames * height * width, sound, words))
        for _ in range(count)
    ]
    assert list(zip(samples.tolist(), kinds.tolist(), strict=True)) == expected
    assert stream.lengths == tuple(s[0] * s[1] * s[2] + s[3] + s[4] for s in shapes)


def test_patches_go_in_channel_major_and_come_out_channel_minor():
    latents = torch.arange(2 * 2 * 3, dtype=torch.float32).reshape(1, 2, 2, 3)
    (token,) = to_patches(latents, (1, 2, 2))
    assert token.tolist() == [
        latents[0, ph, pw, c].item() for c in range(3) for ph in range(2) for pw in range(2)
    ]
    out = torch.tensor([[latents[0, ph, pw, c] for ph in range(2) for pw in range(2) for c in range(3)]])
    assert torch.equal(from_patches(out, (1, 1, 1), (1, 2, 2)), latents)


def test_four_audio_tokens_keep_step_with_one_video_latent():
    video, audio = video_segment(torch.zeros(5, 1, 1, 8)), audio_segment(torch.zeros(17, 3))
    bands = torch.ones(1)
    video_time = torch.atan2(*[part[:, 0] for part in rotary(video.coords, bands)][::-1])
    audio_time = torch.atan2(*[part[:, 0] for part in rotary(audio.coords, bands)][::-1])
    torch.testing.assert_close(audio_time[::4], video_time, atol=1e-5, rtol=0)


def test_a_continued_window_goes_on_at_the_same_pace():
    whole = audio_segment(torch.zeros(33, 3))
    window = audio_segment(torch.zeros(17, 3), origin_token=16)
    bands = torch.tensor([1.0, 0.1])
    for ours, theirs in zip(rotary(window.coords, bands), rotary(whole.coords[16:], bands), strict=True):
        torch.testing.assert_close(ours, theirs)
    clip, tail = (
        video_segment(torch.zeros(9, 2, 2, 8)),
        video_segment(torch.zeros(5, 2, 2, 8), origin_latent=4),
    )
    for ours, theirs in zip(rotary(tail.coords, bands), rotary(clip.coords[16:], bands), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_words_of_the_base_model_share_one_angle_and_of_the_second_stage_do_not():
    bands = torch.tensor([1.0, 0.01])
    cos, sin = rotary(text_segment(torch.arange(7), style="v2").coords, bands)
    assert (cos == 1).all() and (sin == 0).all()
    _, sin = rotary(text_segment(torch.arange(7), style="v1").coords, bands)
    assert (sin[:, 0].diff() > 0).all()


def test_timed_words_stand_beside_the_sound_of_their_moment():
    audio, times = audio_segment(torch.zeros(33, 3)), torch.full((4, 2), torch.nan, dtype=torch.float64)
    times[1:3] = torch.tensor([[0.4, 0.6], [0.6, 1.0]])
    words = text_segment(torch.arange(4), times=times)
    bands = torch.tensor([1.0, 0.1])
    for timed, heard, plain in zip(
        rotary(words.coords, bands),
        rotary(audio.coords, bands),
        rotary(text_segment(torch.arange(4)).coords, bands),
        strict=True,
    ):
        torch.testing.assert_close(timed[1:3], heard[[10, 15]])
        assert torch.equal(timed[[0, 3]], plain[[0, 3]])
    with pytest.raises(ValueError, match=r"\[4, 2\]"):
        text_segment(torch.arange(4), times=times[:3])


def test_references_have_a_stream_of_their_own_outside_the_clip():
    batch = pack([laid_out(*sample((2, 2, 2, 3, 2)), pictures=k) for k in (2, 0, 1)])
    assert batch.owners == (0, 0, 2)
    assert batch.references.lengths == (4, 4, 4)
    assert (batch.references.coords[:, 0] < 0).all()
    assert set(batch.references.slots.tolist()) == {1}
    assert not batch.references.generate.any()


def test_voices_come_after_all_pictures_and_run_as_sound_does_outside_the_clip():
    voice = voice_segment(torch.zeros(9, 3), 2)
    sequences = [
        Sequence((*laid_out(*sample((2, 2, 2, 3, 2)), pictures=k).segments, voice)) for k in (2, 0, 1)
    ]
    batch = pack(sequences)
    assert batch.owners == (0, 0, 2, 0, 1, 2) and batch.references.lengths == (4, 4, 4, 9, 9, 9)
    assert torch.equal(batch.references.order, torch.arange(39))  # rows stand sample after sample
    bands = torch.tensor([1.0, 0.1])
    heard, own = rotary(audio_segment(torch.zeros(9, 3)).coords, bands), rotary(voice.coords, bands)
    since_first = lambda pair: pair[0] * pair[0][:1] + pair[1] * pair[1][:1]  # noqa: E731
    torch.testing.assert_close(since_first(heard), since_first(own), atol=1e-4, rtol=1e-4)
    starts = [voice_segment(torch.zeros(MAX_VOICE, 3), slot).coords[:, 0] for slot in (1, 2)]
    assert starts[0].max() < -100 and starts[1].max() < starts[0].min()
    with pytest.raises(ValueError, match="a voice has 1 to 100 tokens"):
        voice_segment(torch.zeros(MAX_VOICE + 1, 3), 1)


def test_given_parts_are_not_generated():
    latents = torch.zeros(3, 2, 2, 8)
    assert (
        video_segment(latents, given=torch.tensor([True, False, False])).generate.tolist()
        == [False] * 4 + [True] * 8
    )
    assert not video_segment(latents, Role.GIVEN).generate.any()
    assert (
        audio_segment(torch.zeros(5, 3), given=torch.arange(5) < 2).generate.tolist()
        == [False] * 2 + [True] * 3
    )


def test_other_values_keep_the_layout():
    stream = pack([laid_out(*sample((2, 1, 1, 3, 2)))]).main
    order = stream.order
    other = stream.replace(video=stream.video + 1)
    assert other.order is order and torch.equal(other.audio, stream.audio)
    assert torch.equal(other.video, stream.video + 1)


def test_bad_segments_are_named():
    with pytest.raises(ValueError, match="nothing to pack"):
        pack([])
    with pytest.raises(ValueError, match="no tokens"):
        text_segment(torch.zeros(0, dtype=torch.long))
    with pytest.raises(ValueError, match="coords_style"):
        text_segment(torch.arange(2), style="v3")
    with pytest.raises(ValueError, match="slot 0"):
        reference_segment(torch.zeros(1, 1, 1, 8), slot=0)
    with pytest.raises(ValueError, match="do not divide"):
        video_segment(torch.zeros(1, 3, 3, 8), patch=(1, 2, 2))
    with pytest.raises(ValueError, match="channels"):
        pack(
            [
                Sequence((video_segment(torch.zeros(1, 1, 1, c)), text_segment(torch.arange(2))))
                for c in (8, 9)
            ]
        )
    assert Modality(2) is Modality.TEXT
