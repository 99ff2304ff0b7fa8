"""A small model whose every part says something, and samples for it."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from horsekit.sequence import Sequence, audio_segment, reference_segment, text_segment, video_segment
from horsekit.transformer import TransformerConfig, UnifiedTransformer

SMALL = TransformerConfig(
    num_layers=3,
    hidden_size=48,
    head_dim=8,
    num_query_groups=3,
    video_in_channels=6,
    audio_in_channels=3,
    mm_layers=(0,),
    gelu7_layers=(1,),
    patch=(1, 1, 1),
    text_vocab_size=20,
    num_slots=3,
)


@pytest.fixture
def small() -> Callable[..., UnifiedTransformer]:
    """Builds the small model, all weights drawn, with changes to its config."""

    def build(**changes: object) -> UnifiedTransformer:
        torch.manual_seed(0)
        model = UnifiedTransformer(replace(SMALL, **changes))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if not parameter.any():
                    parameter.normal_(0, 0.3 if "norm" in name else 1.0 / parameter.shape[-1] ** 0.5)
        return model

    return build


@pytest.fixture
def draw() -> Callable[..., Sequence]:
    """Draws a sample: latent frames, audio tokens, words and reference pictures."""

    def sample(seed: int, latents: int = 3, audio: int = 5, words: int = 4, references: int = 1) -> Sequence:
        make = torch.Generator().manual_seed(seed)
        slots = torch.randint(4, (words,), generator=make)
        return Sequence(
            (
                video_segment(torch.randn(latents, 2, 2, 6, generator=make)),
                audio_segment(torch.randn(audio, 3, generator=make)),
                text_segment(torch.randint(20, (words,), generator=make), slots),
                *(
                    reference_segment(torch.randn(1, 2, 2, 6, generator=make), slot)
                    for slot in range(1, references + 1)
                ),
            )
        )

    return sample
