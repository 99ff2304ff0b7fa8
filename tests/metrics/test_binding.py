"""Two characters in a shot are told apart, each on its side."""

import pytest
import torch

from horsekit.media import Clip
from horsekit.metrics import binding_of, cast
from horsekit.metrics.embedding import embed
from horsekit.stage import Script, stage_batch


@pytest.fixture(scope="module")
def shot() -> tuple[Clip, list[torch.Tensor]]:
    """A clip of two characters, and their points from left to right."""
    players = list(cast()[:2])
    script = Script.draw(3, "held_out", 0.8, cast=players, speaking=False)
    ((clip, _),) = stage_batch([script])
    return clip, [embed(p) for p in (players[::-1] if script.mirrored else players)]


def test_each_is_found_on_its_side(shot):
    clip, (left, right) = shot
    binding = binding_of(clip, left, right)
    assert binding.right and max(map(abs, binding.leakage)) < 0.3
    (a, b), (c, d) = binding.matrix
    assert a < b and d < c


def test_what_the_reader_cannot_tell_of_two_characters_is_no_leakage():
    pairs = [list(cast()[k : k + 2]) for k in range(2, 14, 2)]
    scripts = [Script.draw(k, "held_out", 0.2, cast=pair, speaking=False) for k, pair in enumerate(pairs)]
    leakage = []
    for (clip, _), script, pair in zip(stage_batch(scripts), scripts, pairs, strict=True):
        ends = [embed(p) for p in (pair[::-1] if script.mirrored else pair)]
        leakage += binding_of(clip, *ends).leakage
    assert abs(sum(leakage) / len(leakage)) < 0.12


def test_characters_that_changed_places_are_wrong_and_leak_wholly(shot):
    clip, (left, right) = shot
    binding = binding_of(Clip.silent(clip.frames.flip(2)), left, right)
    assert not binding.right and min(binding.leakage) > 0.7


def test_twins_leak(shot):
    clip, (left, right) = shot
    twins = clip.frames.clone()
    twins[:, :, 32:] = clip.frames[:, :, :32].flip(2)
    binding = binding_of(Clip.silent(twins), left, right)
    assert abs(binding.leakage[0]) < 0.3 and binding.leakage[1] > 0.7


def test_a_side_without_a_face_is_unusable_with_the_reason(shot):
    clip, (left, right) = shot
    frames = clip.frames.clone()
    frames[:, :, 28:] = 0
    binding = binding_of(Clip.silent(frames), left, right)
    assert not binding.right and binding.matrix is None and "right" in binding.reason


def test_a_bystander_who_is_in_the_shot_after_all_is_found(shot):
    clip, (left, right) = shot
    twins = clip.frames.clone()
    twins[:, :, 32:] = clip.frames[:, :, :32].flip(2)
    binding = binding_of(Clip.silent(twins), left, right, [left])
    assert binding.astray == pytest.approx(binding.leakage[1] / 2), "the left one is itself there already"
    strangers = [embed(player) for player in cast()[2:]]
    assert abs(binding_of(clip, left, right, strangers).astray) < 0.15
    assert binding_of(clip, left, right).astray is None
