"""A folder of clips and pictures as latents, kept in a cache that cannot go stale.

The folder follows the Hugging Face VideoFolder convention: metadata.jsonl with one object per clip, its
`file_name` beside it and its `prompt`.

R reference pictures, h w latent grid, C channels
"""

import hashlib
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm.auto import tqdm

from horsekit import clock
from horsekit.character import read_clips
from horsekit.dataset.sample import LatentSample
from horsekit.media import Clip, Picture, replacing
from horsekit.tokenizers import Tokenizers


class LatentCache:
    """Latents of files by what they depend on: content, tokenizer weights and size."""

    def __init__(self, folder: Path, tokenizers: Tokenizers, size: tuple[int, int]) -> None:
        self.folder = folder
        self.tokenizers = tokenizers
        self.size = size

    def clip(self, path: Path) -> tuple[Tensor, Tensor | None]:
        """Video latents [T, h, w, C] and audio latents [N, C], None for a clip without sound.

        The clip is put on the clock, and up to three frames at its end that fill no latent are left out.
        """
        stored = self._read(path)
        if stored is None:
            stored = self._encode_clip(Clip.open(path))
            self._write(path, stored)
        return stored["video"], stored.get("audio")

    def picture(self, path: Path) -> Tensor:
        """Latents [1, h, w, C] of a picture."""
        stored = self._read(path)
        if stored is None:
            with torch.inference_mode():
                pixels = Picture.open(path).fitted(*self.size).pixels
                stored = {"video": self.tokenizers.video.encode(pixels[None, None])[0].contiguous()}
            self._write(path, stored)
        return stored["video"]

    @torch.inference_mode()
    def _encode_clip(self, clip: Clip) -> dict[str, Tensor]:
        rate = self.tokenizers.audio.spec.sample_rate
        held = clip.conformed(*self.size, sample_rate=rate)
        clip = held.conformed(*self.size, clock.whole_frames(len(held.frames)), rate)
        latents = {"video": self.tokenizers.video.encode(clip.frames[None])[0].contiguous()}
        if clip.has_sound:
            waveform = clip.sound.mono().waveform[:, 0]
            latents["audio"] = self.tokenizers.audio.encode(waveform[None])[0].contiguous()
        return latents

    def _file(self, path: Path) -> Path:
        digest = hashlib.sha256(path.read_bytes())
        digest.update(f"{self.tokenizers.digest} {self.size}".encode())
        return self.folder / f"{digest.hexdigest()}.safetensors"

    def _read(self, path: Path) -> dict[str, Tensor] | None:
        file = self._file(path)
        if not file.is_file():
            return None
        with safe_open(file, framework="pt") as tensors:
            return {key: tensors.get_tensor(key) for key in tensors.keys()}  # noqa: SIM118

    def _write(self, path: Path, latents: dict[str, Tensor]) -> None:
        with replacing(self._file(path)) as draft:
            save_file(latents, draft)


def encode_folder(folder: Path, pictures: list[Path], cache: LatentCache) -> list[LatentSample]:
    """All clips of a folder, with the pictures as references of slot 1.

    Errors: ValueError for a folder that lists no clip; CharacterError for a broken line; MediaError for a clip
    or picture that cannot be read.
    """
    entries = list(read_clips(folder))
    if not entries:
        raise ValueError(f"{folder} lists no clip in its metadata.jsonl; add at least one")
    references = {1: torch.cat([cache.picture(path) for path in pictures])} if pictures else {}
    samples = []
    for entry in tqdm(entries, desc="encoding", unit="clip"):
        video, audio = cache.clip(entry.path)
        samples.append(LatentSample(video, audio, entry.prompts, references))
    return samples
