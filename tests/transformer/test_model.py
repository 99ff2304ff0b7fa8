"""The unified transformer: who sees whom, what it remembers, and that everything learns."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from horsekit.sequence import (
    Sequence,
    audio_segment,
    pack,
    reference_segment,
    text_segment,
    video_segment,
    voice_segment,
)
from horsekit.transformer import TransformerConfig, UnifiedTransformer

SMALL = TransformerConfig(
    num_layers=3,
    hidden_size=48,
    head_dim=16,
    num_query_groups=1,
    video_in_channels=6,
    audio_in_channels=4,
    mm_layers=(0, 2),
    gelu7_layers=(0,),
    patch=(1, 1, 1),
    text_vocab_size=50,
    num_slots=4,
)


def lively(config: TransformerConfig = SMALL) -> UnifiedTransformer:
    """A model whose heads and slots, zero in a fresh one, say something."""
    torch.manual_seed(0)
    model = UnifiedTransformer(config).eval()
    with torch.no_grad():
        for head in (model.final_linear_video, model.final_linear_audio):
            head.weight.normal_(0, 0.2)
        if config.num_slots:
            model.adapter.slot_embedder.weight.normal_()
    return model


def sample(seed: int, frames: int = 3, words: int = 4, pictures: int = 0) -> Sequence:
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    ids = torch.randint(0, 50, (words,), generator=generator)
    slots = torch.zeros(words, dtype=torch.long)
    slots[0] = int(pictures > 0)
    return Sequence(
        (
            video_segment(draw(frames, 2, 2, 6)),
            audio_segment(draw(4 * frames - 3, 4)),
            text_segment(ids, slots),
            *(reference_segment(draw(1, 2, 2, 6), slot=1, index=i) for i in range(pictures)),
        )
    )


def outputs(model: UnifiedTransformer, sequences: list[Sequence]) -> list[torch.Tensor]:
    batch = pack(sequences)
    with torch.inference_mode():
        velocity = model(batch)
    videos = velocity.video.split([count[0] for count in batch.main.counts])
    audios = velocity.audio.split([count[1] for count in batch.main.counts])
    return [torch.cat([v.flatten(), a.flatten()]) for v, a in zip(videos, audios, strict=True)]


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_each_sample_attends_to_itself_alone():
    model = lively()
    sequences = [sample(0), sample(1, frames=2, pictures=1), sample(2, words=7, pictures=2)]
    together = outputs(model, sequences)
    for index, sequence in enumerate(sequences):
        close(together[index], outputs(model, [sequence])[0])
    close(outputs(model, sequences[::-1])[0], together[2])


@pytest.mark.parametrize("pictures", [(0, 0), (2, 2), (0, 3)])
def test_the_two_backends_agree(pictures):
    model = lively()
    sequences = [sample(k, frames=2 + k, pictures=n) for k, n in enumerate(pictures)]
    fast = outputs(model, sequences)
    model.attention_backend = "dense"
    for a, b in zip(fast, outputs(model, sequences), strict=True):
        assert (a - b).abs().max() < 1e-5


def test_references_are_seen_and_what_is_remembered_is_what_is_computed():
    model = lively()
    batch = pack([sample(0, pictures=2), sample(1, pictures=1)])
    bare = pack([sample(0), sample(1)])
    with torch.inference_mode():
        memory = model.remember(batch.references)
        cached, anew, without = model(batch, memory), model(batch), model(bare)
    assert torch.equal(cached.video, anew.video) and torch.equal(cached.audio, anew.audio)
    assert not torch.allclose(anew.video, without.video, atol=1e-3)


def test_a_picture_is_remembered_the_same_whatever_stands_beside_it():
    model = lively()
    alone = pack([sample(0, pictures=1)]).references
    beside = pack([sample(5, pictures=2), sample(0, pictures=1)]).references
    with torch.inference_mode():
        one, many = model.remember(alone), model.remember(beside)
    for (k, v), (ks, vs) in zip(one.layers, many.layers, strict=True):
        close(k, ks[-4:])
        close(v, vs[-4:])


def voiced(seed: int, slot: int = 1, pictures: int = 1) -> Sequence:
    """A sample whose character is also known by a voice."""
    source = torch.Generator().manual_seed(100 + seed)
    channels = SMALL.audio_in_channels
    heard = voice_segment(torch.randn(6, channels, generator=source), slot)
    return Sequence((*sample(seed, pictures=pictures).segments, heard))


def test_voices_are_heard_by_their_own_sample_and_remembered_as_computed():
    model = lively()
    sequences = [voiced(0), sample(1, pictures=2), voiced(2, pictures=0), sample(3)]
    batch = pack(sequences)
    with torch.no_grad():
        cached = model(batch, model.remember(batch.references))
        anew = model(batch)
    assert torch.equal(cached.video, anew.video) and torch.equal(cached.audio, anew.audio)
    for together, alone in zip(
        outputs(model, sequences), (outputs(model, [s])[0] for s in sequences), strict=True
    ):
        close(together, alone)
    (heard,), (silent,) = outputs(model, [voiced(0)]), outputs(model, [sample(0, pictures=1)])
    assert (heard - silent).abs().max() > 1e-4


def test_a_slot_ties_a_picture_to_its_mention():
    model = lively()
    base = sample(0, pictures=1)
    *rest, text, picture = base.segments
    unmentioned = Sequence((*rest, text_segment(text.values), picture))
    assert not torch.allclose(outputs(model, [base])[0], outputs(model, [unmentioned])[0], atol=1e-4)


def test_tags_are_of_video_tokens_by_slot_and_teach_the_slots():
    model, batch = lively(), pack([sample(0, pictures=1), sample(1)])
    tags = model(batch).tags
    assert tags.shape == (len(batch.main.video), SMALL.num_slots)
    tags.square().sum().backward()
    gradient = model.adapter.slot_embedder.weight.grad
    assert gradient[1:].abs().amin() > 0 and not gradient[0].any()
    plain = UnifiedTransformer(replace(SMALL, num_slots=0))
    assert plain(pack([sample(1)])).tags is None


def test_moving_a_window_along_the_clock_changes_nothing():
    """Rotary angles are relative: only distances in time and space count. Words stand at time zero."""
    model = lively()
    generator = torch.Generator().manual_seed(3)
    latents, sound = torch.randn(3, 2, 2, 6, generator=generator), torch.randn(9, 4, generator=generator)
    made = [
        outputs(
            model,
            [Sequence((video_segment(latents, origin_latent=t), audio_segment(sound, origin_token=4 * t)))],
        )[0]
        for t in (0, 5)
    ]
    torch.testing.assert_close(made[0], made[1], atol=1e-4, rtol=1e-4)


def test_a_local_window_hides_far_frames_and_nothing_else():
    config = TransformerConfig(**{**vars(SMALL), "local_attn_layers": (0, 1, 2), "frame_receptive_field": 1})
    model = lively(config)
    model.block.layers = model.block.layers[:1]  # one layer, so that nothing is passed on
    base = sample(0, frames=5)
    video, audio, text = base.segments
    changed = video.values.clone()
    changed[-4:] += 1  # the last frame
    far = Sequence((type(video)(**{**vars(video), "values": changed}), audio, text))
    before, after = outputs(model, [base])[0], outputs(model, [far])[0]
    frames = (before != after)[: 20 * 6].view(5, 4, 6).flatten(1).any(1)
    assert frames.tolist() == [False, False, False, True, True]
    assert (before != after)[20 * 6 :].any(), "sound sees every frame"
    model.attention_backend = "dense"
    close(outputs(model, [base])[0], before)


def test_every_parameter_learns():
    model = lively().train()
    velocity = model(pack([sample(0, pictures=2), sample(1, pictures=1)]))
    (velocity.video.square().sum() + velocity.audio.square().sum()).backward()
    silent = [
        name for name, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()
    ]
    zero = [name for name, p in model.named_parameters() if p.grad is not None and not p.grad.any()]
    assert not silent and not zero


def test_checkpointed_layers_give_the_same_gradients():
    gradients = []
    for recompute in (False, True):
        model = lively().train()
        model.gradient_checkpointing = recompute
        velocity = model(pack([sample(0, pictures=1)]))
        velocity.video.square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for a, b in zip(*gradients, strict=True):
        close(a, b)


def test_a_fresh_model_predicts_nothing():
    velocity = UnifiedTransformer(SMALL)(pack([sample(0)]))
    assert not velocity.video.any() and not velocity.audio.any()


def test_a_clip_without_sound_works():
    video, _, text = sample(0).segments
    with torch.inference_mode():
        velocity = lively()(pack([Sequence((video, text))]))
    assert velocity.audio.numel() == 0 and torch.isfinite(velocity.video).all()


def test_an_unknown_backend_is_named():
    model = lively()
    model.attention_backend = "magic"
    with pytest.raises(ValueError, match="'magic'"):
        model(pack([sample(0)]))


COUNT = """
import resource, torch
from horsekit.transformer import TransformerConfig, UnifiedTransformer
with torch.device("meta"):
    model = UnifiedTransformer(TransformerConfig.preset("magihuman-15b"))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(round(sum(p.numel() for p in model.parameters()) / 1e6), len(model.state_dict()), peak)
"""


def test_the_published_size_is_counted_without_memory():
    run = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    millions, tensors, peak = map(int, run.stdout.split())
    assert millions == 15_299
    assert tensors == 331
    assert peak < 2048, "MiB"


def test_the_shipped_size_keeps_its_budget():
    model = UnifiedTransformer(TransformerConfig.preset("horse-tiny"))
    assert sum(p.numel() for p in model.parameters()) <= 12_000_000


def test_rotary_frequencies_fall_from_the_top_over_the_span():
    published = UnifiedTransformer(TransformerConfig(num_layers=1, hidden_size=64, head_dim=32, mm_layers=(),
        gelu7_layers=(), num_query_groups=1))  # fmt: skip
    torch.testing.assert_close(published.adapter.rope.bands, torch.tensor([1.0, 0.1, 0.01, 0.001]))
    tiny = UnifiedTransformer(TransformerConfig.preset("horse-tiny"))
    torch.testing.assert_close(tiny.adapter.rope.bands, 4 * 0.5 ** torch.arange(8))


def test_embedders_and_heads_stay_float32_under_autocast():
    model, batch = lively(), pack([sample(0, pictures=1)])
    with torch.no_grad():
        rows = model.adapter(batch.main)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(model.adapter(batch.main), rows)
            made = model(batch)
    assert made.video.dtype == made.audio.dtype == torch.float32
