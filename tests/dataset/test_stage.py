"""Latents of rendered clips and stills are written shard by shard."""

from pathlib import Path

import pytest
import torch

from horsekit.dataset.latents import LatentDataset
from horsekit.dataset.stage import StagePlan, build

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
