"""Backends agree, and with a mask written out by hand.

N tokens of a sample, M remembered
"""

import warnings
from collections.abc import Callable

import pytest
import torch

from horsekit.sequence import pack
from horsekit.transformer import Prediction
from horsekit.transformer.attention import attend, layout

LOCAL = {"local_attn_layers": (0, 2), "frame_receptive_field": 1}


def outputs(velocity: Prediction) -> torch.Tensor:
    return torch.cat([part.flatten() for part in velocity])


@pytest.mark.parametrize("changes", [{}, LOCAL], ids=["full", "local"])
@pytest.mark.parametrize(
    "shapes", [[(3, 5, 4, 1)] * 2, [(3, 5, 4, 2), (4, 7, 3, 0), (3, 5, 4, 1), (1, 1, 1, 1)]]
)
def test_the_fast_backend_agrees_with_the_definition(
    changes: dict, shapes: list, small: Callable, draw: Callable
) -> None:
    model, batch = small(**changes), pack([draw(i, *shape) for i, shape in enumerate(shapes)])
    with torch.no_grad():
        expected = outputs(model(batch))
        model.attention_backend = "dense"
        assert (outputs(model(batch)) - expected).abs().max() < 1e-5


def test_one_mask_over_all_samples_agrees_with_a_call_for_each(small: Callable, draw: Callable) -> None:
    model = small(**LOCAL)
    batch = pack([draw(0, 4, 5, 4, 2), draw(1, 3, 7, 3, 0), draw(2, 4, 5, 4, 2)])
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # on a CPU flex runs uncompiled, and says so
        expected = outputs(model(batch))
        model.attention_backend = "flex"
        assert (outputs(model(batch)) - expected).abs().max() < 1e-5


def test_a_local_layer_sees_the_window_and_all_that_is_no_video(small: Callable, draw: Callable) -> None:
    model = small(
        num_layers=1, mm_layers=(), gelu7_layers=(), local_attn_layers=(0,), frame_receptive_field=1
    )
    batch = pack([draw(0, latents=5, references=1)])
    clean = batch.main.video.clone()

    def reached(row: int) -> torch.Tensor:
        """Which latent frames feel the video token."""
        moved = clean.clone()
        moved[row] += 1
        with torch.no_grad():
            before = model(batch)
            after = model(batch.replace(main=batch.main.replace(video=moved)))
        assert (before.audio != after.audio).any(1).all()
        return (before.video != after.video).any(1).view(5, 4).any(1)

    assert reached(0).tolist() == [True, True, False, False, False]
    assert reached(9).tolist() == [False, True, True, True, False]


def test_the_window_equals_a_mask_by_hand(small: Callable, draw: Callable) -> None:
    model = small(**LOCAL)
    batch = pack([draw(0, latents=4, references=2)])
    video, audio, words = batch.main.counts[0]
    own, remembered = video + audio + words, 8
    seen = torch.ones(own, own + remembered, dtype=torch.bool)
    for query in range(video):
        for key in range(video):
            seen[query, key] = abs(query // 4 - key // 4) <= 1
    plan = model._layout(batch.main, model.remember(batch.references), batch.owners).plan
    assert torch.equal(plan.groups[0].window, seen)


def test_equal_samples_are_one_dense_call_and_equal_lengths_are_grouped(
    small: Callable, draw: Callable
) -> None:
    model = small()

    def groups(words: list[int]) -> list[tuple[int, int, int]]:
        batch = pack([draw(i, words=n) for i, n in enumerate(words)])
        plan = model._layout(batch.main, model.remember(batch.references), batch.owners).plan
        return [(g.samples, g.tokens, g.remembered) for g in plan.groups]

    assert groups([4, 4, 4]) == [(3, 21, 4)]
    assert groups([4, 5, 4]) == [(2, 21, 4), (1, 22, 4)]


def test_the_plan_of_a_layout_is_made_once(small: Callable, draw: Callable) -> None:
    model = small()
    batch = pack([draw(0), draw(1, words=2)])
    memory = model.remember(batch.references)
    moved = batch.main.replace(video=batch.main.video + 1)
    first = model._layout(moved, memory, batch.owners).plan
    assert model._layout(batch.main, memory, batch.owners).plan is first


def test_an_unknown_backend_and_a_foreign_memory_are_refused(small: Callable, draw: Callable) -> None:
    model = small()
    batch = pack([draw(0)])
    memory = model.remember(pack([draw(0, references=2)]).references)
    with pytest.raises(ValueError, match="memory of 2 pictures has the owners"):
        model(batch, memory)
    model.attention_backend = "magic"
    with pytest.raises(ValueError, match="'magic'"):
        model(batch)


def test_gradients_in_bfloat16_are_those_of_float32_to_its_rounding(small: Callable, draw: Callable) -> None:
    torch.manual_seed(0)
    batch = pack([draw(0, 3, 5, 4, 2)])
    plan = layout(batch.main, small().adapter.rope.bands)
    rows = len(batch.main.coords)
    halves = [(2 * torch.randn(rows, heads, 64)).bfloat16() for heads in (4, 2, 2)]
    upstream = torch.randn(rows, 4, 64).bfloat16()

    def gradients(dtype: torch.dtype) -> list[torch.Tensor]:
        q, k, v = (half.to(dtype).requires_grad_() for half in halves)
        mixed = attend(q, k, v, plan, None, local=False)
        return torch.autograd.grad(mixed, (q, k, v), upstream.to(dtype))

    for found, exact in zip(gradients(torch.bfloat16), gradients(torch.float32), strict=True):
        assert (found.float() - exact).norm() < 3e-3 * exact.norm()
