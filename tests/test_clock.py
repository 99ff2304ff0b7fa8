"""The clock in closed form."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from horsekit import clock

latents = st.integers(1, 400)


def test_the_lengths_of_the_shipped_model():
    assert [clock.frame_count(s) for s in (1.28, 2.56)] == [33, 65]
    assert [clock.latent_count(f) for f in (33, 65)] == [9, 17]
    assert clock.audio_token_count(33) == 33
    assert clock.sample_count(33, 16_000) == 21_120


@given(latents)
def test_latents_and_frames_undo_each_other(count):
    assert clock.latent_count(clock.latent_frames(count)) == count


@given(latents, st.floats(0, 1000))
def test_video_latents_tile_the_time_that_their_frames_are_shown(count, origin):
    spans = clock.video_intervals(count, origin)
    frames = clock.latent_frames(count)
    assert spans.dtype == torch.float64
    assert spans[0].tolist() == pytest.approx([origin, origin + 1 / 25])
    assert torch.allclose(spans[1:, 0], spans[:-1, 1], rtol=0, atol=1e-9)
    assert spans[-1, 1].item() == pytest.approx(origin + clock.duration(frames))
    sound = clock.audio_intervals(clock.audio_token_count(frames), origin)
    assert sound[-1, 1].item() == pytest.approx(spans[-1, 1].item()), "picture and sound end together"


@given(st.floats(0.02, 600))
def test_a_length_is_kept_to_within_two_frames(seconds):
    frames = clock.frame_count(seconds)
    assert frames % 4 == 1
    assert abs((frames - 1) / 25 - seconds) <= 2 / 25 + 1e-9


def test_frame_times_are_exact_multiples():
    assert clock.frame_times(51)[50].item() == 2.0


def test_impossible_lengths_are_named():
    with pytest.raises(ValueError, match=r"8 frames.*use 5 or 9"):
        clock.latent_count(8)
    for seconds in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="seconds is"):
            clock.frame_count(seconds)
