"""Gradients of the element-wise parts, which are written out by hand."""

import pytest
import torch
from torch.autograd import gradcheck

from horsekit.transformer.attention import rotary
from horsekit.transformer.functions import gelu7, permute, rms_norm, rotate, swiglu7


def test_rms_norm_has_unit_mean_square_times_the_gain_of_its_rows() -> None:
    x = torch.randn(6, 4, 32) * 7 + 2
    gains = torch.tensor([1.0, 3.0])[:, None].expand(2, 32)
    y = rms_norm(x, gains, (2, 4))
    expected = torch.tensor([1.0, 1, 9, 9, 9, 9])[:, None].expand(6, 4)
    assert torch.allclose(y.square().mean(-1), expected, rtol=1e-4)
    assert torch.allclose(y[0] * x[0].square().mean(-1, keepdim=True).sqrt(), x[0], rtol=1e-4)


def test_an_axis_of_one_place_stands_at_its_centre() -> None:
    coords = torch.tensor([[0, 0, 0, 1, 1, 1, 2, 1, 9]])
    cos, sin = rotary(coords, torch.ones(2))
    assert torch.equal(cos, torch.ones(1, 6)) and not sin.any()


@pytest.mark.parametrize(
    ("function", "shape", "extra"),
    [
        (lambda x: swiglu7(5 * x), (4, 6), ()),
        (lambda x: gelu7(5 * x), (4, 6), ()),
        (lambda x, g: rms_norm(x, g, (3, 1, 0)), (4, 2, 6), ((3, 6),)),
        (
            lambda x: rotate(x, *(f(torch.arange(12.0)).view(4, 3) for f in (torch.cos, torch.sin))),
            (4, 2, 7),
            (),
        ),
        (lambda x: permute(x, torch.tensor([2, 0, 1]), torch.tensor([1, 2, 0])), (3, 2), ()),
    ],
    ids=["swiglu7", "gelu7", "rms", "rotate", "permute"],
)
def test_gradients_are_those_of_finite_differences(function: object, shape: tuple, extra: tuple) -> None:
    torch.manual_seed(1)
    inputs = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in (shape, *extra)]
    assert gradcheck(function, inputs)


def test_values_at_a_limit_have_no_gradient() -> None:
    x = torch.tensor([[9.0, 1.0], [1.0, 9.0], [1.0, -9.0]], requires_grad=True)
    swiglu7(x).sum().backward()
    assert x.grad[0, 0] == x.grad[1, 1] == x.grad[2, 1] == 0
    assert (x.grad[[0, 1, 2], [1, 0, 0]] != 0).all()
