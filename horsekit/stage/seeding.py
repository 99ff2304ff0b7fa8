"""Random numbers that are the same in every process: one named stream per seed and purpose."""

import hashlib

import torch


def generator(seed: int, stream: str) -> torch.Generator:
    """A torch.Generator for `seed`, independent of every other `stream` of the same seed."""
    digest = hashlib.sha256(f"{stream}:{int(seed)}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def uniform(source: torch.Generator, low: float, high: float) -> float:
    """One number in [low, high)."""
    return low + (high - low) * torch.rand((), generator=source, dtype=torch.float64).item()


def choice(source: torch.Generator, options):
    """One of `options`, all equally likely."""
    return options[int(torch.randint(len(options), (), generator=source))]
