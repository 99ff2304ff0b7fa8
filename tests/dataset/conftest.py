"""A stand-in for a text tokenizer."""

import pytest
import torch


class Words:
    """The part of a text tokenizer that a recipe needs; id 1 stands for nothing, 10 + k mentions slot k."""

    empty = (1,)

    def encode(self, text):
        return [11] + [50 + len(word) for word in text.split()]

    def positions(self, text):
        return torch.full((1 + len(text.split()), 2), torch.nan, dtype=torch.float64)

    def slots(self, ids):
        return [i - 10 if 10 < i < 20 else 0 for i in ids]

    def renumber(self, ids, slots):
        return [10 + slots.get(i - 10, i - 10) if 10 < i < 20 else i for i in ids]


@pytest.fixture(scope="session")
def words() -> Words:
    """Text without a trained tokenizer."""
    return Words()
