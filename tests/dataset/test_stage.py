"""Latents of rendered clips and stills are written shard by shard."""

from pathlib import Path

import pytest
import torch

from horsekit.dataset.latents import LatentDataset
from horsekit.dataset.stage import StagePlan, build, draw, lip_shares, main

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
    assert sample.focus.shape == shape[:3] and 0.5 < sample.focus.sum((1, 2)).mean() <= 2


def test_lips_belong_to_the_latents_that_show_them():
    still = torch.tensor([0.5, 0.625, 0.25, 0.1]).expand(
        1, 1, 4
    )  # two columns of the third row, half in each
    shares = lip_shares(still, (1, 4, 4))
    wanted = torch.zeros(1, 4, 4)
    wanted[0, 2, 1:3] = 0.5
    torch.testing.assert_close(shares, wanted)
    moved = still.repeat(1, 5, 1)
    moved[0, 3:, 0] = 0.875  # for two of the four later frames in the last column
    later = lip_shares(moved, (2, 4, 4))[1]
    torch.testing.assert_close(later[2], torch.tensor([0.0, 0.25, 0.25, 0.5]))
    assert later.sum() == later[2].sum()


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
