"""The average follows its recurrence, and the model gets its own weights back exactly."""

import torch
from torch import nn

from horsekit.engine.ema import Ema


def line() -> nn.Linear:
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad_(False)
    return layer


def test_the_average_follows_its_recurrence():
    layer = line()
    ema = Ema(layer, decay=0.5)
    expected = layer.weight.detach().clone()
    for step in range(1, 6):
        with torch.no_grad():
            layer.weight.add_(step)
        keep = min(0.5, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * layer.weight.detach()
        ema.update(step)
    torch.testing.assert_close(ema.average["weight"], expected)


def test_fewer_updates_forget_as_fast():
    layer = line()
    often, seldom = Ema(layer, 0.9), Ema(layer, 0.9, every=4)
    before = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight.zero_()
    for step in range(1000, 1008):
        often.update(step + 1)
        seldom.update(step + 1)
    torch.testing.assert_close(often.average["weight"], before * 0.9**8)
    torch.testing.assert_close(seldom.average["weight"], before * 0.9**8)


def test_inside_the_block_the_model_is_the_average_and_after_it_bit_for_bit_itself():
    layer = line()
    ema = Ema(layer, 0.9)
    with torch.no_grad():
        layer.weight.mul_(1.1)
    own = layer.weight.detach().clone()
    ema.update(1)
    try:
        with ema.applied():
            assert torch.equal(layer.weight, ema.average["weight"])
            assert not torch.equal(layer.weight, own)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert torch.equal(layer.weight, own)


def test_frozen_weights_are_left_alone():
    assert set(Ema(line(), 0.9).average) == {"weight"}
