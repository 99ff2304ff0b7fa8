"""The parts of a layer in closed form."""

import math

import pytest
import torch

from horsekit.sequence import video_segment
from horsekit.transformer.attention import rotary
from horsekit.transformer.layers import ExpertLinear, RMSNorm, gelu7, index_positions, rotate, swiglu7


def test_the_gain_of_a_norm_is_one_plus_its_weight():
    norm = RMSNorm(4)
    x = torch.tensor([[3.0, 4.0, 0.0, 0.0]])
    torch.testing.assert_close(norm(x), x / 2.5, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        norm.weight.fill_(1.0)
    torch.testing.assert_close(norm(x), x / 1.25, atol=1e-5, rtol=1e-5)


def test_every_expert_has_a_gain_and_a_map_of_its_own():
    norm, linear = RMSNorm(2, experts=3), ExpertLinear(2, 2, 3, torch.float32)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.0, 0, 1, 1, 2, 2]))
        linear.weight.copy_(torch.cat([k * torch.eye(2) for k in (1.0, 10.0, 100.0)]))
    x = torch.ones(6, 2)
    torch.testing.assert_close(
        norm(x, (1, 2, 3))[:, 0], torch.tensor([1.0, 2, 2, 3, 3, 3]), atol=1e-5, rtol=0
    )
    assert linear(x, (1, 2, 3))[:, 0].tolist() == [1, 10, 10, 100, 100, 100]


def silu(x: float) -> float:
    return x / (1 + math.exp(-1.702 * x))


@pytest.mark.parametrize(
    ("gate", "value"), [(1.0, 2.0), (-3.0, 0.5), (9.0, 1.0), (1.0, 9.0), (1.0, -9.0), (-9.0, 0)]
)
def test_swiglu7_reads_gates_from_even_columns_and_holds_both_within_seven(gate, value):
    expected = silu(min(gate, 7)) * (max(-7, min(value, 7)) + 1)
    made = swiglu7(torch.tensor([[gate, value, 0.0, 5.0]]))
    assert made.shape == (1, 2)
    assert made[0, 0].item() == pytest.approx(expected, rel=1e-5)
    assert made[0, 1].item() == 0


@pytest.mark.parametrize("x", [-10.0, -1.0, 0.0, 2.0, 7.0, 30.0])
def test_gelu7_has_no_plus_one(x):
    assert gelu7(torch.tensor([x])).item() == pytest.approx(silu(min(x, 7)), rel=1e-5)


def test_rotation_keeps_lengths_and_depends_on_distance_alone():
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 1, 16, generator=generator)
    bands = torch.tensor([1.0, 0.1])

    def score(first: int, second: int) -> float:
        rotated = []
        for x, t in ((q, first), (k, second)):
            segment = video_segment(torch.zeros(1, 1, 1, 1), origin_latent=t)
            rotated.append(rotate(x, *rotary(segment.coords, bands)))
            assert rotated[-1].norm().item() == pytest.approx(x.norm().item(), rel=1e-5)
        return (rotated[0] * rotated[1]).sum().item()

    assert score(2, 5) == pytest.approx(score(7, 10), abs=1e-4)
    assert abs(score(2, 5) - score(2, 6)) > 1e-3


def test_the_last_quarter_of_a_head_is_not_rotated():
    x = torch.randn(5, 1, 16)
    segment = video_segment(torch.zeros(5, 1, 1, 1))
    made = rotate(x, *rotary(segment.coords, torch.tensor([1.0, 0.1])))
    assert torch.equal(made[..., 12:], x[..., 12:])
    assert not torch.equal(made[..., :12], x[..., :12])


def test_space_is_centred_and_time_is_not():
    coords = video_segment(torch.zeros(2, 3, 3, 1)).coords
    cos, _ = rotary(coords, torch.tensor([1.0]))
    middle = cos[4]  # frame 0, row 1, column 1
    assert middle.tolist() == [1, 1, 1]
    assert cos[9 + 4, 0].item() == pytest.approx(math.cos(1))


def test_the_index_of_a_word_is_told_apart():
    places = index_positions(64, 32, torch.device("cpu"))
    distances = torch.cdist(places, places) + 10 * torch.eye(64)
    assert distances.min() > 0.3
