"""Latents of rendered clips and stills are written shard by shard."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from horsekit.dataset.latents import LatentDataset
from horsekit.dataset.stage import StagePlan, build, check_plan, draw, main, nearest_subjects
from horsekit.tokenizers import VideoTokenizer, load_tokenizers

TOKENIZERS = Path("horsekit/weights/horse-tiny")


@pytest.mark.parametrize(("stills", "shape"), [(False, (9, 4, 4, 33)), (True, (1, 4, 4, 0))])
def test_a_plan_is_rendered_and_encoded_with_prompts_and_references(tmp_path, stills, shape):
    plan = StagePlan(tmp_path, TOKENIZERS, clips=2, first_seed=7, stills=stills)
    build(plan, workers=1)
    dataset = LatentDataset.open(tmp_path)
    assert dataset.buckets == [shape] * 2
    sample = dataset[0]
    assert len(set(sample.prompts)) == plan.wordings
    assert all(len(pictures) == plan.portraits for pictures in sample.references.values())
    assert torch.isfinite(sample.video).all() and (sample.audio is None) == stills
    assert {slot: len(voice) for slot, voice in sample.voices.items()} == (
        {} if stills else dict.fromkeys(sample.references, 40)
    )
    assert sample.described and not any("[Image" in prompt for prompt in sample.described)
    if stills:
        assert "Camera" not in sample.prompts[-1] and len(sample.prompts[-1]) < min(
            map(len, sample.prompts[:-1])
        )
    assert sample.shows.shape == shape[:3] and set(sample.shows.unique().tolist()) <= set(sample.references)
    assert sample.focus.shape == shape[:3] and 0.5 < sample.focus.sum((1, 2)).mean() <= 2


def test_a_latent_belongs_to_whom_it_stands_nearest_to():
    boxes = torch.zeros(2, 9, 4)
    boxes[0, :, 0] = torch.tensor([0.2] + [0.3] * 4 + [0.7] * 4)
    boxes[1, :, 0] = torch.tensor([0.8] + [0.6] * 4 + [0.2] * 4)
    found = nearest_subjects(boxes, (3, 2, 4))
    assert found[:, 0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [2, 2, 1, 1]]
    assert (found[:, 0] == found[:, 1]).all() and (nearest_subjects(boxes[:1], (3, 2, 4)) == 1).all()


@pytest.mark.parametrize(("pairs", "least", "most"), [(0.0, 0, 0), (0.5, 35, 65), (1.0, 100, 100)])
def test_the_share_of_pairs_is_as_asked(tmp_path, pairs, least, most):
    plan = StagePlan(tmp_path, TOKENIZERS, clips=100, stills=True, pairs=pairs)
    assert least <= sum(len(draw(plan, seed).characters) == 2 for seed in range(100)) <= most


def test_the_command_renders_as_many_pairs_as_it_is_told(tmp_path, monkeypatch):
    command = ["stage", str(tmp_path), "--clips", "2", "--stills", "--pairs", "1", "--workers", "1"]
    monkeypatch.setattr("sys.argv", command)
    main()
    dataset = LatentDataset.open(tmp_path)
    assert [sorted(dataset[row].references) for row in range(2)] == [[1, 2]] * 2


def test_a_share_of_pairs_that_is_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"pairs is 1\.5"):
        StagePlan(tmp_path, TOKENIZERS, clips=2, pairs=1.5)


@pytest.mark.parametrize("stills", [False, True])
def test_twins_lie_side_by_side_and_their_words_tell_them_apart(tmp_path, stills):
    build(StagePlan(tmp_path, TOKENIZERS, clips=3, first_seed=20, stills=stills, twins="term"), workers=1)
    dataset = LatentDataset.open(tmp_path)
    assert len(dataset) == 6
    for one, other in ((dataset[row], dataset[row + 1]) for row in (0, 2, 4)):
        assert not torch.equal(one.video, other.video)
        assert stills or torch.equal(one.audio, other.audio)
        assert all(a != b for a, b in zip(one.prompts, other.prompts, strict=True))
        assert all(torch.equal(one.references[slot], other.references[slot]) for slot in one.references)
    with pytest.raises(ValueError, match="twins"):
        build(StagePlan(tmp_path.parent / "plain", TOKENIZERS, clips=1, stills=True), workers=1)
        check_plan(tmp_path.parent / "plain", load_tokenizers(TOKENIZERS), 64, 1.28, twins="term")


def test_twins_in_two_voices_say_the_same_words_at_about_the_same_times(tmp_path):
    build(StagePlan(tmp_path, TOKENIZERS, clips=2, first_seed=20, pairs=1.0, twins="voice"), workers=1)
    dataset = LatentDataset.open(tmp_path)
    assert len(dataset) == 4
    for one, other in ((dataset[row], dataset[row + 1]) for row in (0, 2)):
        assert one.prompts[:-1] == other.prompts[:-1] and one.described == other.described
        assert (one.video - other.video).square().mean() < 0.1 * one.video.square().mean()
        assert (one.audio - other.audio).square().mean() > 0.1 * one.audio.square().mean()
        differ = [slot for slot in one.voices if not torch.equal(one.voices[slot], other.voices[slot])]
        assert len(differ) == 1, "the other of two keeps its voice"
    with pytest.raises(ValueError, match="twins is term, here voice"):
        term = tmp_path.parent / "term"
        build(StagePlan(term, TOKENIZERS, clips=1, stills=True, twins="term"), workers=1)
        check_plan(term, load_tokenizers(TOKENIZERS), 64, 1.28, twins="voice")


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"twins": "age"}, "twins is 'age'; choose term or voice"),
        ({"twins": "voice", "stills": True}, "no voices"),
    ],
)
def test_twins_that_cannot_be_are_refused(tmp_path, wrong, said):
    with pytest.raises(ValueError, match=said):
        StagePlan(tmp_path, TOKENIZERS, clips=2, **wrong)


def test_a_cache_of_another_version_is_refused_before_it_is_used(tmp_path):
    from datasets import load_from_disk

    build(StagePlan(tmp_path / "new", TOKENIZERS, clips=1, stills=True), workers=1)
    (shard,) = (tmp_path / "new").glob("shard-*")
    load_from_disk(str(shard)).remove_columns("focus").save_to_disk(str(tmp_path / "old" / shard.name))
    with pytest.raises(ValueError, match=r"shard-00000000 was written by another version.*delete it"):
        LatentDataset.open(tmp_path / "old")


def test_a_shard_of_fewer_clips_than_are_asked_for_is_built_again(tmp_path):
    for clips, kept in ((2, 2), (3, 3), (1, 3)):
        build(StagePlan(tmp_path, TOKENIZERS, clips=clips, stills=True), workers=1)
        assert len(LatentDataset.open(tmp_path)) == kept


def test_latents_of_another_kind_are_not_mixed_in(tmp_path):
    build(StagePlan(tmp_path, TOKENIZERS, clips=1, stills=True), workers=1)
    with pytest.raises(ValueError, match="size is 64, here 32"):
        build(StagePlan(tmp_path, TOKENIZERS, clips=1, stills=True, size=32), workers=1)
    with pytest.raises(ValueError, match="split is train, here held_out"):
        build(StagePlan(tmp_path, TOKENIZERS, clips=1, stills=True, split="held_out"), workers=1)
    tokenizers = load_tokenizers(TOKENIZERS)
    check_plan(tmp_path, tokenizers, 64, 1.28)
    other = replace(tokenizers, video=VideoTokenizer(dim=8, width=16, blocks=1, widths=(16, 16, 16)))
    with pytest.raises(ValueError, match="latents of another kind"):
        check_plan(tmp_path, other, 64, 1.28)
