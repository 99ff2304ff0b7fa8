"""Batches depend on nothing but seed, rank and step."""

from collections import Counter

import pytest
import torch

from horsekit.dataset.batches import Batches, Blend
from horsekit.dataset.latents import LatentDataset, write_shard
from horsekit.dataset.sample import LatentSample, Recipe
from horsekit.sequence import Modality


def samples(count, latents=3):
    generator = torch.Generator().manual_seed(count)
    return [
        LatentSample(
            torch.randn(latents, 2, 2, 6, generator=generator),
            torch.randn(4 * latents - 3, 3, generator=generator),
            ("a fox sings",),
            {1: torch.randn(2, 2, 2, 6, generator=generator)},
        )
        for _ in range(count)
    ]


@pytest.fixture
def batches(words):
    """Builds batches over drawn samples."""

    def build(count=20, batch_size=4, **more):
        return Batches(LatentDataset.of(samples(count)), words, batch_size, **more)

    return build


def test_the_same_step_gives_the_same_batch_and_another_step_another(batches):
    first, again, other = batches().at(7).main, batches().at(7).main, batches().at(8).main
    assert torch.equal(first.video, again.video) and torch.equal(first.coords, again.coords)
    assert not torch.equal(first.video[: len(other.video)], other.video[: len(first.video)])


def test_an_epoch_over_all_ranks_meets_every_sample_once(batches):
    ranks = [batches(24, 3, rank=rank, world=2) for rank in range(2)]
    for epoch in range(3):
        seen = [i for step in range(4 * epoch, 4 * epoch + 4) for rank in ranks for i in rank.indices(step)]
        assert sorted(seen) == list(range(24))


def test_a_batch_never_mixes_buckets(words):
    dataset = LatentDataset.of(samples(10, 3) + samples(10, 5))
    found = set()
    for step in range(20):
        shapes = {dataset.buckets[i] for i in Batches(dataset, words, 4).indices(step)}
        assert len(shapes) == 1
        found |= shapes
    assert len(found) == 2


def test_stills_come_in_batches_of_their_own_size(words):
    dataset = LatentDataset.of(samples(40, 3) + samples(60, 1))
    sizes = {3: set(), 1: set()}
    for step in range(40):
        indices = Batches(dataset, words, 4, stills_batch_size=6).indices(step)
        sizes[dataset.buckets[indices[0]][0]].add(len(indices))
    assert sizes == {3: {4}, 1: {6}}
    with pytest.raises(ValueError, match="stills_batch_size is 0"):
        Batches(dataset, words, 4, stills_batch_size=0)


def test_twins_stay_together_in_one_task(words):
    recipe = Recipe(audio_to_video=0.3, continuation=0.3, each_reference_drop=0.5)
    batches = Batches(LatentDataset.of(samples(24)), words, 6, recipe, stills_batch_size=4, twins=True)
    for epoch in range(2):
        seen = [batches.indices(step) for step in range(4 * epoch, 4 * epoch + 4)]
        assert sorted(index for step in seen for index in step) == list(range(24))
        assert all(
            b == a + 1 and a % 2 == 0 for step in seen for a, b in zip(step[::2], step[1::2], strict=True)
        )
    for step in range(8):
        batch = batches.at(step)
        given = batch.main.generate[batch.main.modality < Modality.TEXT].split(
            [n for counts in zip(*batch.main.counts, strict=True) for n in counts][:12]
        )
        assert batch.twins
        assert all(torch.equal(a, b) for a, b in zip(given[::2], given[1::2], strict=True))
        owners = Counter(batch.owners)
        assert all(owners[k] == owners[k + 1] for k in range(0, 6, 2))
    with pytest.raises(ValueError, match="batch_size is 5, and twins come two by two"):
        Batches(LatentDataset.of(samples(4)), words, 5, twins=True)


def test_latents_survive_the_disk(tmp_path):
    written = samples(5)
    write_shard(written[:3], tmp_path / "shard-0")
    write_shard(written[3:], tmp_path / "shard-1")
    read = LatentDataset.open(tmp_path)
    assert len(read) == 5
    for index, sample in enumerate(written):
        torch.testing.assert_close(read[index].video, sample.video, atol=2e-3, rtol=2e-3)
        torch.testing.assert_close(read[index].audio, sample.audio, atol=2e-3, rtol=2e-3)
        torch.testing.assert_close(read[index].references[1], sample.references[1], atol=2e-3, rtol=2e-3)
        assert read[index].prompts == sample.prompts


def test_a_broken_shard_leaves_nothing_behind(tmp_path):
    bad = samples(2)
    bad[1].video[0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        write_shard(bad, tmp_path / "shard-0")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="no cached latents"):
        LatentDataset.open(tmp_path)


def test_a_shard_that_another_process_wrote_meanwhile_stays(tmp_path):
    first, second = samples(2), samples(3)

    def overtaken():
        yield from second
        write_shard(first, tmp_path / "shard-0")

    write_shard(overtaken(), tmp_path / "shard-0")
    assert [path.name for path in tmp_path.iterdir()] == ["shard-0"]
    assert len(LatentDataset.open(tmp_path)) == 2


def test_a_folder_of_something_else_is_not_written_over(tmp_path):
    (tmp_path / "shard-0").mkdir()
    (tmp_path / "shard-0" / "notes.txt").write_text("mine")
    with pytest.raises(OSError, match="not empty"):
        write_shard(samples(2), tmp_path / "shard-0")
    assert [path.name for path in tmp_path.rglob("*")] == ["shard-0", "notes.txt"]


def test_an_empty_dataset_is_refused(batches):
    with pytest.raises(ValueError, match="empty"):
        batches(0)


def test_a_prior_gets_its_share_of_steps_the_same_on_every_rank(words):
    dataset = LatentDataset.of(samples(20))
    own, prior = (Batches(dataset, words, 4, seed=seed) for seed in (0, 1))
    steps = range(200)
    from_prior = [
        torch.equal(Blend(own, prior, 0.25).at(k).main.video, prior.at(k).main.video) for k in steps
    ]
    assert 30 < sum(from_prior) < 70
    ranks = [Batches(dataset, words, 2, rank=rank, world=2) for rank in (0, 1)]
    other = [Batches(dataset, words, 2, seed=1, rank=rank, world=2) for rank in (0, 1)]
    for step in range(20):
        kinds = {
            torch.equal(Blend(a, b, 0.5).at(step).main.video, b.at(step).main.video)
            for a, b in zip(ranks, other, strict=True)
        }
        assert len(kinds) == 1
    with pytest.raises(ValueError, match="prior_share is 1"):
        Blend(own, prior, 1.0)
