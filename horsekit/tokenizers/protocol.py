"""What every tokenizer offers, whatever it encodes.

Latents have unit variance, over all channels or, where `spread` says otherwise, with some larger than others;
normalising and patching live inside; `positions` is pure.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from horsekit import clock
from horsekit.media import replacing
from horsekit.tokenizers.streaming import Reach, Stream, WindowStream

CONFIG, WEIGHTS = "config.json", "model.safetensors"


@dataclass(frozen=True)
class TokenizerSpec:
    """The facts a user of a tokenizer needs.

    dim: channels of a latent; rate: latents per second, None for text; strides: (frames, rows, columns) of a
    video latent; sample_rate: of the sound; causal: a latent depends on nothing after it; lookahead: how many
    latents must have come after one before the encoder can give it, None for all.
    """

    name: str
    modality: str
    dim: int
    rate: Fraction | None = None
    strides: tuple[int, int, int] = (1, 1, 1)
    sample_rate: int | None = None
    causal: bool = True
    lookahead: int | None = 0

    def steps(self, latents: int) -> int:
        """Frames or samples that so many latents stand for."""
        if self.modality == "video":
            return clock.latent_frames(latents, self.strides[0]) if latents else 0
        return int(latents * self.sample_rate / self.rate)


class LatentTokenizer(nn.Module, ABC):
    """A tokenizer with weights: media to latents and back.

    Subclasses keep the arguments of their constructor in `arguments`, which is what config.json holds.
    encoder_past, decoder_reach: latents that a latent, or what is decoded from one, depends on; None: all.
    """

    spec: TokenizerSpec
    arguments: dict[str, Any]
    kind: ClassVar[str]
    encoder_past: int | None = None
    decoder_reach: Reach = (None, None)

    @abstractmethod
    def encode(self, media: Tensor) -> Tensor:
        """Media to latents. Errors: ValueError for NaN, no content, or a size that does not fit."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Latents to media of exactly as many frames or samples as they stand for: `spec.steps` of them."""

    @abstractmethod
    def positions(self, count: int, origin: float = 0.0) -> Tensor:
        """[start, end) of `count` latents in seconds, float64 [count, 2]."""

    @property
    def spread(self) -> Tensor:
        """The deviation of each channel, [C], mean square 1: by default all the same."""
        return torch.ones(self.spec.dim)

    def encoder_stream(self) -> Stream:
        """Encode media as they come; equal to `encode` of the whole."""
        reach = (self.encoder_past, self.spec.lookahead)
        return WindowStream(self.encode, self.spec.steps, int, reach)

    def decoder_stream(self) -> Stream:
        """Decode latents as they come; equal to `decode` of the whole."""
        return WindowStream(self.decode, int, self.spec.steps, self.decoder_reach)

    def save_pretrained(self, folder: Path | str, dtype: torch.dtype = torch.float16) -> None:
        """Write config.json and model.safetensors; large tensors are stored in dtype."""
        folder = Path(folder)
        state = {
            key: tensor.detach().cpu().to(dtype if tensor.numel() > 4096 else tensor.dtype).contiguous()
            for key, tensor in self.state_dict().items()
        }
        with replacing(folder / WEIGHTS) as draft:
            save_file(state, draft, metadata={"format": "pt"})
            draft.chmod(0o644)  # safetensors leaves a file to its owner alone
        with replacing(folder / CONFIG) as draft:
            draft.write_text(json.dumps({"kind": self.kind, **self.arguments}, indent=1) + "\n")

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> Self:
        """Read what save_pretrained wrote; nothing of it learns until it is told to.

        Errors: ValueError naming the file that is missing or foreign.
        """
        folder = Path(folder)
        for name in (CONFIG, WEIGHTS):
            if not (folder / name).is_file():
                raise ValueError(f"{folder} lacks {name}; point at a folder written by save_pretrained")
        arguments = json.loads((folder / CONFIG).read_text())
        kind = arguments.pop("kind", None)
        if kind != cls.kind:
            raise ValueError(f"{folder} holds a tokenizer of kind {kind!r}, not {cls.kind!r}")
        tokenizer = cls(**arguments)
        state = load_file(folder / WEIGHTS)
        wanted = tokenizer.state_dict()
        if set(state) != set(wanted):
            raise ValueError(
                f"{folder / WEIGHTS} differs in {sorted(set(state) ^ set(wanted))[:4]}; write it again"
            )
        tokenizer.load_state_dict({key: tensor.to(wanted[key].dtype) for key, tensor in state.items()})
        return tokenizer.eval().requires_grad_(False)

    @property
    def digest(self) -> str:
        """A fingerprint of everything that `encode` depends on, for caches."""
        digest = hashlib.sha256(json.dumps({"spec": asdict(self.spec)}, default=str).encode())
        for key, tensor in sorted(self.encoder_state().items()):
            digest.update(key.encode())
            digest.update(tensor.detach().float().cpu().numpy().tobytes())
        return digest.hexdigest()[:16]

    def encoder_state(self) -> dict[str, Tensor]:
        """The tensors that `encode` depends on; by default all."""
        return self.state_dict()


def require_finite(values: Tensor, what: str) -> None:
    """Errors: ValueError when there is nothing, or something that is no number."""
    if values.numel() == 0:
        raise ValueError(f"the {what} is empty; give at least one frame or sample")
    if values.is_floating_point() and not torch.isfinite(values).all():
        raise ValueError(f"the {what} holds NaN or infinity; repair it before encoding")
