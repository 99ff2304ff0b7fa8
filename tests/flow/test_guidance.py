"""Guidance as a sum of forwards."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from horsekit.flow.guidance import Guidance, combine

strength = st.floats(0, 30, allow_nan=False)


@settings(deadline=None, max_examples=30)
@given(strength, strength, strength, strength, st.none() | strength, st.booleans(), st.booleans())
def test_weights_sum_to_one_so_that_equal_branches_change_nothing(
    text, reference, voice, sync, direction, pictured, heard
):
    branches = Guidance(text, reference, voice, sync, direction).branches(pictured, heard)
    for of in (0, 1):
        assert sum(branch.weights[of] for branch in branches) == pytest.approx(1)
    velocity = (torch.tensor([1.0, -2.0]), torch.tensor([3.0]))
    video, audio = combine(branches, [velocity] * len(branches))
    torch.testing.assert_close(video, velocity[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(audio, velocity[1], rtol=1e-4, atol=1e-4)


def test_the_formula_nests_pictures_first_then_words():
    none, pictures, both = 1.0, 10.0, 100.0
    branches = Guidance(text=3, reference=2).branches(True)
    value = {(False, False): none, (False, True): pictures, (True, True): both}
    (out,) = combine(branches, [(torch.tensor(value[b.text, b.references]),) for b in branches])
    assert out.item() == pytest.approx(none + 2 * (pictures - none) + 3 * (both - pictures))


def test_voices_come_after_pictures_and_words():
    value = {
        (0, 0, 0): 1.0,
        (0, 1, 0): 10.0,
        (1, 1, 0): 100.0,
        (1, 1, 1): 1000.0,
        (1, 0, 0): 7.0,
        (1, 0, 1): 70.0,
    }
    guidance = Guidance(text=3, reference=2, voice=4)
    for pictured, expected in ((True, 1 + 2 * 9 + 3 * 90 + 4 * 900), (False, 1 + 3 * 6 + 4 * 63)):
        branches = guidance.branches(pictured, True)
        told = [(torch.tensor(value[b.text, b.references, b.voices]),) for b in branches]
        assert combine(branches, told)[0].item() == pytest.approx(expected)


def test_camera_and_light_are_pulled_apart_from_the_other_words():
    value = {(False, True): 10.0, (True, False): 100.0, (True, True): 1000.0}
    branches = Guidance(text=3, reference=1, direction=5).branches(True)
    (out,) = combine(branches, [(torch.tensor(value[b.text, b.direction]),) for b in branches])
    assert out.item() == pytest.approx(10 + 3 * 90 + 5 * 900)
    assert Guidance(3, 2, direction=3).branches(True) == Guidance(3, 2).branches(True)


def test_strength_one_needs_a_single_forward():
    for pictured in (False, True):
        for heard in (False, True):
            (branch,) = Guidance(1, 1).branches(pictured, heard)
            assert branch == ((1, 1), True, pictured, heard, True, True)


def test_the_picture_alone_is_pulled_to_the_sound():
    plain, pulled = (Guidance(text=3, reference=2, sync=sync).branches(True, True) for sync in (1, 4))
    *told, deaf = pulled
    assert [b[1:] for b in told] == [b[1:] for b in plain]
    assert deaf == ((-3, 0), *told[-1][1:5], False)
    heard, unheard = 5.0, 1.0
    values = [(torch.tensor(heard if b.sound else unheard), torch.tensor(7.0)) for b in pulled]
    video, audio = combine(pulled, values)
    assert video.item() == pytest.approx(heard + 3 * (heard - unheard))
    assert audio.item() == pytest.approx(7)


def test_the_sound_is_pulled_at_high_noise_alone_where_that_is_asked():
    branches = Guidance(text=3, reference=2, voice=4, sync=4).branches(True, True)
    values = [(torch.tensor(float(n)), torch.tensor(10.0 * n)) for n in range(len(branches))]
    pulled, free = (combine(branches, values, sound_pulled) for sound_pulled in (True, False))
    assert free[0] == pulled[0] and free[1] != pulled[1]
    (told,) = (n for n, b in enumerate(branches) if b.voices and b.sound)
    assert free[1].item() == 10.0 * told, "the deaf branch is the picture's alone"


@pytest.mark.parametrize("level", [-0.1, 1.5, "low"])
def test_a_noise_level_out_of_range_is_named(level):
    with pytest.raises(ValueError, match="sound_above is"):
        Guidance(sound_above=level)


def test_a_strength_out_of_range_is_named():
    with pytest.raises(ValueError, match="text guidance is 40"):
        Guidance(text=40)
