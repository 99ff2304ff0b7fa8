"""Does this implementation read published weights right? `python -m horsekit.transformer.parity FOLDER`.

The folder holds config.json, model.safetensors and io.safetensors (inputs and the published outputs).

The published precision rounds to bf16 a dozen times a layer, so a last-bit difference in float32, which another
processor's order of summation is enough for, flips roundings and grows: two right implementations can differ by
more than the bound. `rounding_noise` measures this on the machine at hand, as the model's own response to a
last-bit change of its inputs; an error within NOISE_FACTOR of it cannot be told from rounding, and passes.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from horsekit.sequence import (
    Batch,
    Sequence,
    Stream,
    audio_segment,
    pack,
    text_segment,
    unpack,
    video_segment,
)
from horsekit.transformer.checkpoint import load_magihuman
from horsekit.transformer.config import TransformerConfig
from horsekit.transformer.layers import ExpertLinear, SharedLinear
from horsekit.transformer.model import UnifiedTransformer

VELOCITY_BOUND = 5e-3
BACKEND_BOUND = 1e-5
LAST_BIT = 2.0**-20
NOISE_FACTOR = 1.5


def published_batch(config: TransformerConfig, stored: dict[str, Tensor]) -> Batch:
    """The stored inputs (video [C, T, H, W], audio [N, C], text states [N, C]) as a batch of one sample."""
    video = stored["video_latent"].permute(1, 2, 3, 0)
    latents = video.shape[0] if config.coords_style == "v1" else None
    return pack(
        [
            Sequence(
                (
                    video_segment(video, patch=config.patch),
                    audio_segment(stored["audio_latent"], video_latents=latents),
                    text_segment(stored["text_features"], style=config.coords_style),
                )
            )
        ]
    )


def packed_tokens(stream: Stream) -> Tensor:
    """All rows in one zero-padded tensor, as the published code feeds them (SPEC §2.1)."""
    parts = [stream.video, stream.audio, stream.text]
    width = max(part.shape[1] for part in parts)
    return torch.cat([torch.nn.functional.pad(part.float(), (0, width - part.shape[1])) for part in parts])


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """‖ours − theirs‖ / ‖theirs‖."""
    return float((ours - theirs).norm() / theirs.norm())


@torch.inference_mode()
def measure(folder: Path) -> dict:
    """Errors against the stored outputs in the published precision, and between the backends in float32."""
    config = TransformerConfig.open(folder / "config.json")
    stored = load_file(folder / "io.safetensors")
    batch = published_batch(config, stored)
    model = published_precision(load_magihuman(folder))
    video, audio = unpack(batch, *model(batch), config.patch)[0]
    noise = rounding_noise(model, batch)
    single = load_magihuman(folder)
    outputs = []
    for backend in ("sdpa", "dense"):
        single.attention_backend = backend
        outputs.append(torch.cat([part.flatten() for part in single(batch)]))
    return {
        "packed_tokens_equal": torch.equal(packed_tokens(batch.main), stored["packed_tokens"]),
        "coords_equal": torch.equal(batch.main.coords, stored["coords"]),
        "modality_equal": torch.equal(batch.main.modality, stored["modality"]),
        "video_velocity_error": relative_error(video.permute(3, 0, 1, 2), stored["video_velocity"]),
        "audio_velocity_error": relative_error(audio, stored["audio_velocity"]),
        "rounding_noise": noise,
        "backend_difference": float((outputs[0] - outputs[1]).abs().max()),
    }


def rounding_noise(model: UnifiedTransformer, batch: Batch) -> float:
    """The largest relative change of the velocities over three last-bit changes of the inputs."""
    base, stream, changes = model(batch), batch.main, []
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        moved = [
            x * (1 + LAST_BIT * torch.randn(x.shape, generator=generator))
            for x in (stream.video, stream.audio)
        ]
        other = model(batch.replace(main=stream.replace(*moved)))
        changes += [relative_error(a, b) for a, b in zip(other, base, strict=True)]
    return max(changes)


def published_precision(model: UnifiedTransformer) -> UnifiedTransformer:
    """Cast the linear maps of the layers to bf16 and leave all else in fp32 (SPEC §1.3)."""
    for module in model.modules():
        if isinstance(module, (ExpertLinear, SharedLinear)):
            module.to(torch.bfloat16)
    return model


def passes(errors: dict) -> bool:
    """Whether everything lies within its bound; a NaN does not."""
    equal = all(errors[key] for key in ("packed_tokens_equal", "coords_equal", "modality_equal"))
    bound = max(VELOCITY_BOUND, NOISE_FACTOR * errors["rounding_noise"])
    close = all(errors[key] <= bound for key in ("video_velocity_error", "audio_velocity_error"))
    return equal and close and errors["backend_difference"] <= BACKEND_BOUND


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    errors = measure(parser.parse_args().folder)
    passed = passes(errors)
    print(json.dumps({**errors, "passed": passed}))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
