"""The loss is that of the velocity, whatever the model's output means."""

from dataclasses import replace

import pytest
import tiny_run
import torch

from horsekit.dataset.sample import Recipe
from horsekit.flow import Objective, training_levels
from horsekit.flow.objective import LEAST_APART
from horsekit.sequence import Modality, pack
from horsekit.transformer.model import Prediction


@pytest.mark.parametrize("predicts", ["velocity", "residual"])
def test_the_loss_is_that_of_the_velocity_whatever_the_output_means(predicts, tmp_path):
    batch = tiny_run.batches(tiny_run.configured(tmp_path)).at(0)
    stream, zero = batch.main, lambda b: replace(b.main, video=0 * b.main.video, audio=0 * b.main.audio)
    losses = Objective(predicts=predicts)(zero, batch, torch.Generator().manual_seed(3))

    source = torch.Generator().manual_seed(3)
    levels = training_levels(len(stream.counts), 3.0, source)
    for kind, clean, measured in ((0, stream.video, losses.video), (1, stream.audio, losses.audio)):
        sigma = levels[stream.sample[stream.modality == kind]][:, None]
        noise = torch.randn(clean.shape, generator=source)
        noisy, velocity = (1 - sigma) * clean + sigma * noise, noise - clean
        spread = (1 - sigma) ** 2 + sigma**2
        guess = (2 * sigma - 1) / spread * noisy if predicts == "residual" else 0
        torch.testing.assert_close(measured, (velocity - guess).square().mean())


def test_a_clips_first_latent_counts_as_often_as_asked(tmp_path):
    batch = tiny_run.batches(tiny_run.configured(tmp_path)).at(0)
    stream = batch.main
    first = stream.coords[stream.modality == Modality.VIDEO, 0] == 0
    zero = lambda b: replace(b.main, video=0 * b.main.video, audio=0 * b.main.audio)  # noqa: E731
    plain, heavy = (
        Objective(audio_weight=0, first_weight=w)(zero, batch, torch.Generator().manual_seed(3))
        for w in (1, 3)
    )
    torch.testing.assert_close(plain.total, plain.video)
    torch.testing.assert_close(heavy.video, plain.video)

    noise = torch.Generator().manual_seed(3)
    training_levels(len(stream.counts), 3.0, noise)
    error = (torch.randn(stream.video.shape, generator=noise) - stream.video).square().mean(1)
    repeated = torch.cat([error, error[first], error[first]])
    torch.testing.assert_close(heavy.total, repeated.mean())


def test_lips_that_open_otherwise_than_they_should_count_and_constant_errors_do_not(tmp_path):
    batch = tiny_run.batches(tiny_run.configured(tmp_path)).at(0)
    stream = batch.main
    rows = stream.modality == Modality.VIDEO
    focus = torch.zeros(len(stream.focus))
    focus[rows] = torch.rand(int(rows.sum()), generator=torch.Generator().manual_seed(1))
    stream = replace(stream, focus=focus)
    lips = torch.randn(stream.video.shape[1], 4, generator=torch.Generator().manual_seed(2))
    objective = Objective(audio_weight=0, lips_weight=5.0, lips=lips)
    zero = lambda b: replace(b.main, video=0 * b.main.video, audio=0 * b.main.audio)  # noqa: E731
    losses = objective(zero, batch.replace(main=stream), torch.Generator().manual_seed(3))

    noise = torch.Generator().manual_seed(3)
    levels = training_levels(len(stream.counts), 3.0, noise)
    left = torch.randn(stream.video.shape, generator=noise) - stream.video
    total, count = 0.0, 0
    for sample, level in enumerate(levels):  # the same, clip by clip and latent by latent
        own = stream.sample[rows] == sample
        time, share, error = stream.coords[rows, 0][own], focus[rows][own], (level * left[own]) @ lips
        later = sorted({t for t in time.tolist() if t > 0})
        mouths = torch.stack(
            [(share[time == t, None] * error[time == t]).sum(0) / share[time == t].sum() for t in later]
        )
        total, count = total + (mouths - mouths.mean(0)).square().mean(1).sum(), count + len(later)
    torch.testing.assert_close(losses.total, left.square().mean() + 5 * total / count)
    torch.testing.assert_close(losses.video, left.square().mean())
    constant = torch.ones_like(left) * torch.arange(left.shape[1])
    assert objective._of_lips(constant, stream) < 1e-6


def test_a_token_should_carry_the_tag_of_whom_it_shows(tmp_path):
    batch = tiny_run.batches(tiny_run.configured(tmp_path)).at(0)
    stream = batch.main
    rows = stream.modality == Modality.VIDEO
    count, source = int(rows.sum()), torch.Generator().manual_seed(1)
    shows = torch.zeros(len(stream.shows), dtype=torch.long)
    shows[rows] = torch.randint(3, (count,), generator=source)  # of some it is not known
    stream = replace(stream, shows=shows)
    tags = torch.randn(count, 4, generator=source)
    noise = lambda b: Prediction(0 * b.main.video, 0 * b.main.audio, tags)  # noqa: E731
    losses = Objective(audio_weight=0, binding_weight=2.0)(noise, batch.replace(main=stream), source)
    known = [(row, int(who)) for row, who in enumerate(shows[rows]) if who and stream.generate[rows][row]]
    expected = -torch.stack([tags[row].log_softmax(0)[who - 1] for row, who in known]).mean()
    torch.testing.assert_close(losses.total - losses.video, 2 * expected)
    assert Objective(audio_weight=0, binding_weight=2.0)(
        noise, batch, source
    ).total.isfinite()  # nothing known
    with pytest.raises(ValueError, match="the model has no slots"):
        Objective(binding_weight=1.0)(lambda b: Prediction(b.main.video, b.main.audio), batch, source)


def test_twins_share_noise_and_should_differ_as_they_do():
    source = torch.Generator().manual_seed(5)
    one, other = tiny_run.samples(2)
    other = replace(other, audio=one.audio)
    twins = [one, other, other, one]
    batch = replace(pack([Recipe().sequence(s, tiny_run.Words(), source) for s in twins]), twins=True)
    batch = batch.replace(main=replace(batch.main, generate=batch.main.modality != Modality.TEXT))
    seen = []

    def model(batch):
        seen.append(batch.main)
        return Prediction(batch.main.video * 0, batch.main.audio * 0)

    blind = Objective(audio_weight=0, twin_weight=2.0)(model, batch, torch.Generator().manual_seed(3))
    noisy = seen[0].video.unflatten(0, (2, 2, -1))
    clean = batch.main.video.unflatten(0, (2, 2, -1))
    shrunk = (noisy[:, 1] - noisy[:, 0]) / (clean[:, 1] - clean[:, 0])
    assert shrunk.flatten(1).std(1).max() < 1e-3, "one level and one noise for both"
    apart = (clean[:, 1] - clean[:, 0]).square().mean((1, 2))
    torch.testing.assert_close(blind.total - blind.video, 2 * (apart / (apart + LEAST_APART)).mean())

    def knowing(batch):  # right but for what all have in common
        return Prediction(1 - clean.reshape(batch.main.video.shape), batch.main.audio * 0)

    known = Objective(audio_weight=0, twin_weight=2.0)(knowing, batch, torch.Generator().manual_seed(3))
    assert known.video > 0.5 and known.total - known.video < 1e-5


def test_twins_in_two_voices_should_sound_as_different_as_they_do():
    source = torch.Generator().manual_seed(6)
    one, other = tiny_run.samples(2)
    twins = [one, replace(one, audio=other.audio)]
    batch = replace(pack([Recipe().sequence(s, tiny_run.Words(), source) for s in twins]), twins=True)
    batch = batch.replace(main=replace(batch.main, generate=batch.main.modality != Modality.TEXT))
    clean = batch.main.audio

    def losses(sound):
        def model(batch):
            return Prediction(1 - batch.main.video * 0, sound)

        generator = torch.Generator().manual_seed(3)
        return Objective(audio_weight=0, twin_weight=2.0)(model, batch, generator)

    alike, told = losses(clean * 0), losses(1 - clean)
    apart = (one.audio - other.audio).square().mean()
    torch.testing.assert_close(alike.total - alike.video, 2 * apart / (apart + LEAST_APART))
    torch.testing.assert_close(told.total, told.video)


def test_a_token_should_carry_the_terms_of_its_prompt_and_no_others(tmp_path):
    batch = tiny_run.batches(tiny_run.configured(tmp_path)).at(0)
    stream, source = batch.main, torch.Generator().manual_seed(1)
    rows, texts = stream.modality == Modality.VIDEO, stream.sample[stream.modality == Modality.TEXT]
    words = torch.randint(3, 12, (len(stream.text),), generator=source)  # of which 5 to 8 are terms
    stream = replace(stream, text=words)
    logits = torch.randn(int(rows.sum()), 12, generator=source)
    model = lambda b: Prediction(0 * b.main.video, 0 * b.main.audio, words=logits)  # noqa: E731
    objective = Objective(audio_weight=0, term_weight=2.0, terms=(5, 9))
    losses = objective(model, batch.replace(main=stream), source)
    missed, count = 0.0, 0
    for row, (sample, made) in enumerate(
        zip(stream.sample[rows].tolist(), stream.generate[rows], strict=True)
    ):
        said = {word for word in words[texts == sample].tolist() if 5 <= word < 9}
        others = [word for word in range(5, 9) if word not in said]
        count += len(said) if made else 0
        for word in said if made else ():
            missed -= logits[row, [word, *others]].log_softmax(0)[0].item()
    assert (losses.total - losses.video).item() == pytest.approx(2 * missed / count, rel=1e-4)
    silent = batch.replace(main=replace(stream, text=words * 0))
    assert objective(model, silent, source).total.isfinite()  # no terms at all
    with pytest.raises(ValueError, match="the model reads no token ids"):
        objective(lambda b: Prediction(b.main.video, b.main.audio), batch, source)


def test_what_is_not_there_has_no_loss(tmp_path):
    batch = tiny_run.batches(tiny_run.configured(tmp_path)).at(0)
    pictured = batch.main.generate & (batch.main.modality != Modality.AUDIO)
    batch = batch.replace(main=replace(batch.main, generate=pictured))
    zero = lambda b: replace(b.main, video=0 * b.main.video, audio=0 * b.main.audio)  # noqa: E731
    losses = Objective()(zero, batch, torch.Generator().manual_seed(3))
    assert losses.audio.isnan() and losses.total == losses.video


@pytest.mark.parametrize("predicts", ["velocity", "residual"])
def test_a_batch_without_sound_trains_the_picture(predicts):
    source = torch.Generator().manual_seed(3)
    samples = [replace(sample, audio=None) for sample in tiny_run.samples(2)]
    batch = pack([Recipe().sequence(sample, tiny_run.Words(), source) for sample in samples])
    losses = Objective(predicts=predicts)(tiny_run.model(), batch, source)
    assert losses.audio.isnan() and losses.total.isfinite()
    losses.total.backward()


def test_sound_has_a_level_of_its_own_as_often_as_asked():
    levels = Objective(apart=0.25).levels(4000, torch.Generator().manual_seed(0))
    share = (levels[:, 0] != levels[:, 1]).float().mean().item()
    assert share == pytest.approx(0.25, abs=0.03)
    assert levels[:, 1].mean().item() == pytest.approx(levels[:, 0].mean().item(), abs=0.02), (
        "the same distribution"
    )
    assert torch.equal(*Objective().levels(8, torch.Generator().manual_seed(0)).unbind(1))
