"""The unified transformer."""

from horsekit.transformer.checkpoint import (
    CheckpointError,
    load_magihuman,
    load_transformer,
    save_transformer,
)
from horsekit.transformer.config import TransformerConfig
from horsekit.transformer.model import Memory, Prediction, UnifiedTransformer

__all__ = [
    "CheckpointError",
    "Memory",
    "Prediction",
    "TransformerConfig",
    "UnifiedTransformer",
    "load_magihuman",
    "load_transformer",
    "save_transformer",
]
