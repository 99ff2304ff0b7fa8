"""What training asks of the transformer: gradients by every path, in every precision, also compiled."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from horsekit.sequence import Sequence, pack
from horsekit.transformer import Prediction, UnifiedTransformer


def total(velocity: Prediction) -> torch.Tensor:
    return velocity.video.square().sum() + velocity.audio.sin().sum()


@pytest.fixture(params=["equal", "unequal"])
def sequences(request: pytest.FixtureRequest, draw: Callable) -> list[Sequence]:
    shapes = {
        "equal": [{}] * 2,
        "unequal": [{"words": 2}, {"latents": 4, "references": 0}, {"references": 2}],
    }
    return [draw(i, **shape) for i, shape in enumerate(shapes[request.param])]


def test_changing_one_sample_leaves_the_others_bit_for_bit(
    sequences: list, small: Callable, draw: Callable
) -> None:
    model = small()
    shape = [len(s) for s in sequences[0].segments]
    other = draw(99, shape[0] // 4, shape[1], shape[2], len(shape) - 3)
    with torch.no_grad():
        before, after = model(pack(sequences)), model(pack([other, *sequences[1:]]))
    assert torch.equal(before.video[shape[0] :], after.video[shape[0] :])
    assert torch.equal(before.audio[shape[1] :], after.audio[shape[1] :])
    assert not torch.equal(before.video, after.video)


def test_gradients_are_those_of_the_written_out_attention(sequences: list, small: Callable) -> None:
    grads = []
    for backend in ("sdpa", "dense"):
        model = small(local_attn_layers=(1,), frame_receptive_field=1)
        model.attention_backend = backend
        total(model(pack(sequences))).backward()
        grads.append([p.grad for p in model.parameters()])
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in zip(*grads, strict=True))


def test_references_teach_the_video_expert_alone(small: Callable, draw: Callable) -> None:
    model = small()
    memory = model.remember(pack([draw(0)]).references)
    sum(k.sum() + v.sum() for k, v in memory.layers).backward()
    weight = model.block.layers[0].mlp.up_gate_proj.weight
    assert [bool(part.any()) for part in weight.grad.chunk(3)] == [True, False, False]


def test_a_layout_made_while_sampling_serves_training(small: Callable, draw: Callable) -> None:
    model, batch = small(), pack([draw(0), draw(1, words=2)])
    with torch.inference_mode():
        model(batch)
    total(model(batch)).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_bfloat16_maps_leave_the_rest_in_float32_and_learn(small: Callable, draw: Callable) -> None:
    torch.manual_seed(0)
    model = UnifiedTransformer(replace(small().config, params_dtype="bfloat16"))
    halves = {name for name, p in model.named_parameters() if p.dtype == torch.bfloat16}
    assert halves == {n for n, p in model.named_parameters() if n.startswith("block.") and p.ndim == 2}
    torch.nn.init.normal_(model.final_linear_video.weight)
    velocity = model(pack([draw(0)]))
    assert velocity.video.dtype == torch.float32
    total(velocity).backward()
    assert model.block.layers[0].attention.linear_qkv.weight.grad.any()


@pytest.mark.filterwarnings("ignore")  # dynamo warns of its own doings
def test_a_layer_compiles_whole(small: Callable, draw: Callable) -> None:
    model, batch = small(num_layers=1, gelu7_layers=()), pack([draw(0), draw(1)])
    expected = model(batch)
    model.block.layers[0].compile(backend="eager", fullgraph=True)
    compiled = model(batch)
    assert torch.allclose(compiled.video, expected.video, atol=1e-5)
    total(compiled).backward()
    assert all(p.grad is not None for p in model.parameters())
