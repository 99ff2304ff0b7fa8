"""Tokenizers for every modality."""

from dataclasses import dataclass
from pathlib import Path

from horsekit.tokenizers.audio import AudioTokenizer, voice_sample
from horsekit.tokenizers.protocol import LatentTokenizer, TokenizerSpec
from horsekit.tokenizers.streaming import Stream, decode_chunks, decode_tiled
from horsekit.tokenizers.text import TextTokenizer
from horsekit.tokenizers.video import VideoTokenizer


@dataclass(frozen=True, eq=False)
class Tokenizers:
    """The three tokenizers of a model."""

    text: TextTokenizer
    video: VideoTokenizer
    audio: AudioTokenizer

    @property
    def digest(self) -> str:
        """A fingerprint of everything encoding depends on."""
        return f"{self.text.digest}-{self.video.digest}-{self.audio.digest}"


def load_tokenizers(folder: Path | str) -> Tokenizers:
    """The tokenizers in the folders text, video and audio of a model."""
    folder = Path(folder)
    return Tokenizers(
        TextTokenizer.from_pretrained(folder / "text"),
        VideoTokenizer.from_pretrained(folder / "video"),
        AudioTokenizer.from_pretrained(folder / "audio"),
    )


__all__ = [
    "AudioTokenizer",
    "LatentTokenizer",
    "Stream",
    "TextTokenizer",
    "TokenizerSpec",
    "Tokenizers",
    "VideoTokenizer",
    "decode_chunks",
    "decode_tiled",
    "load_tokenizers",
    "voice_sample",
]
