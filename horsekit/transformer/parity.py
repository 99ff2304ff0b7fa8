"""Does this implementation read published weights right? `python -m horsekit.transformer.parity FOLDER`.

The folder holds config.json, model.safetensors and io.safetensors (inputs and the published outputs). The last
line printed is JSON. The velocity errors are taken in the arithmetic that the outputs were made with (see
arithmetic.py); `native_…` are those of this machine's own bfloat16 kernels, for information.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from horsekit.sequence import (
    Batch,
    Sequence,
    audio_segment,
    magihuman_packed,
    pack,
    text_segment,
    unpack,
    video_segment,
)
from horsekit.transformer.arithmetic import PublishedArithmetic
from horsekit.transformer.checkpoint import CheckpointError, load_magihuman
from horsekit.transformer.config import TransformerConfig
from horsekit.transformer.model import UnifiedTransformer

VELOCITY_BOUND = 5e-3
BACKEND_BOUND = 1e-5
EQUAL = ("packed_tokens_equal", "coords_equal", "modality_equal")


def published_batch(config: TransformerConfig, stored: dict[str, Tensor]) -> Batch:
    """The stored inputs (video [C, T, H, W], audio [N, C], text states [N, C]) as a batch of one sample."""
    video = stored["video_latent"].permute(1, 2, 3, 0)
    latents = len(video) if config.coords_style == "v1" else None
    segments = (
        video_segment(video, patch=config.patch),
        audio_segment(stored["audio_latent"], video_latents=latents),
        text_segment(stored["text_features"], style=config.coords_style),
    )
    return pack([Sequence(segments)])


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """‖ours − theirs‖ / ‖theirs‖."""
    return float((ours - theirs).norm() / theirs.norm())


@torch.inference_mode()
def measure(folder: Path) -> dict[str, bool | float]:
    """Whether the packing is equal, errors of the velocities, and the difference of the backends in float32.

    Errors: CheckpointError for a folder that cannot be read.
    """
    model = load_magihuman(folder)
    try:
        stored = load_file(folder / "io.safetensors")
        batch = published_batch(model.config, stored)
    except (SafetensorError, OSError, KeyError) as error:
        raise CheckpointError(f"{folder / 'io.safetensors'} holds no inputs and outputs: {error}") from error
    tokens, modality, coords = magihuman_packed(batch.main)
    errors: dict[str, bool | float] = {
        "packed_tokens_equal": torch.equal(tokens, stored["packed_tokens"]),
        "coords_equal": torch.equal(coords, stored["coords"]),
        "modality_equal": torch.equal(modality, stored["modality"]),
    }
    with PublishedArithmetic():
        errors |= _velocity_errors(model, batch, stored, "")
    errors |= _velocity_errors(model, batch, stored, "native_")
    return errors | {"backend_difference": _backend_difference(load_magihuman(folder, torch.float32), batch)}


def _velocity_errors(
    model: UnifiedTransformer, batch: Batch, stored: dict[str, Tensor], prefix: str
) -> dict[str, float]:
    made = model(batch)
    video, audio = unpack(batch, made.video, made.audio, model.config.patch)[0]
    return {
        f"{prefix}video_velocity_error": relative_error(video.permute(3, 0, 1, 2), stored["video_velocity"]),
        f"{prefix}audio_velocity_error": relative_error(audio, stored["audio_velocity"]),
    }


def _backend_difference(model: UnifiedTransformer, batch: Batch) -> float:
    outputs = []
    for model.attention_backend in ("sdpa", "dense"):
        made = model(batch)
        outputs.append(torch.cat([made.video.flatten(), made.audio.flatten()]))
    return float((outputs[0] - outputs[1]).abs().max())


def passes(errors: dict[str, bool | float]) -> bool:
    """Whether everything lies within its bound; a NaN does not."""
    close = all(errors[f"{m}_velocity_error"] <= VELOCITY_BOUND for m in ("video", "audio"))
    return all(errors[key] for key in EQUAL) and close and errors["backend_difference"] <= BACKEND_BOUND


def main() -> int:
    """Measure one folder; 0 when everything lies within its bound."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    try:
        errors = measure(folder)
    except ValueError as error:
        print(json.dumps({"error": str(error), "passed": False}))
        return 2
    passed = passes(errors)
    print(json.dumps({**errors, "passed": passed}))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
