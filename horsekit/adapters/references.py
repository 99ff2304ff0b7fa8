"""Reference pictures and voices: from what a person hands in to clean tokens in slots (DESIGN §6).

h w latent grid, C channels
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from horsekit.media import Picture, Sound
from horsekit.prompt import mentions
from horsekit.sequence import MAX_REFERENCES, MAX_SLOTS, MAX_VOICE, Segment, reference_segment, voice_segment
from horsekit.tokenizers import AudioTokenizer, VideoTokenizer, voice_sample

SoundLike = Sound | str | Path
PictureLike = Picture | str | Path
References = Sequence[PictureLike | Sequence[PictureLike]]


class ReferenceError(ValueError):
    """What is wrong with the references, and how to mend it."""


def read_references(references: References, prompt: str) -> dict[int, list[Picture]]:
    """Pictures by slot: the first item is `[Image 1]`, the second `[Image 2]`, and so on.

    An item is one picture (or its path), or a list of pictures of one and the same character.
    Errors: ReferenceError for too many slots or pictures, an empty list, or a prompt that mentions a picture
    that was not given; MediaError for a file that cannot be read.
    """
    slots = dict(enumerate(open_references(references), start=1))
    for slot, pictures in slots.items():
        if not pictures:
            raise ReferenceError(
                f"reference {slot} is an empty list; give at least one picture or leave it out"
            )
    if len(slots) > MAX_SLOTS:
        raise ReferenceError(
            f"{len(slots)} characters were given, the model knows {MAX_SLOTS}; "
            "put pictures of the same character into one inner list"
        )
    count = sum(len(pictures) for pictures in slots.values())
    if count > MAX_REFERENCES:
        raise ReferenceError(f"{count} reference pictures were given; use at most {MAX_REFERENCES}")
    missing = sorted(mentions(prompt) - set(slots))
    if missing:
        raise ReferenceError(
            f"the prompt mentions [Image {missing[0]}], but {len(slots)} reference(s) were given; "
            "add the picture or take the mention out"
        )
    return slots


def open_references(references: References) -> list[list[Picture]]:
    """The pictures of each character, opened. Errors: MediaError for a file that cannot be read."""
    if isinstance(references, (Picture, str, Path)):
        references = [references]
    items = ([item] if isinstance(item, (Picture, str, Path)) else item for item in references)
    return [[p if isinstance(p, Picture) else Picture.open(p) for p in item] for item in items]


def encode_references(
    slots: dict[int, list[Picture]], tokenizer: VideoTokenizer, size: tuple[int, int]
) -> list[Segment]:
    """One segment per picture, cropped to size (height, width) and encoded as a clip of one frame."""
    segments = []
    for slot, pictures in slots.items():
        for index, picture in enumerate(pictures):
            segments.append(reference_segment(encode_picture(picture, tokenizer, size), slot, index))
    return segments


def encode_picture(picture: Picture, tokenizer: VideoTokenizer, size: tuple[int, int]) -> Tensor:
    """Latents [1, h, w, C] of a picture cropped and resized to size (height, width)."""
    with torch.inference_mode():
        return tokenizer.encode(picture.fitted(*size).pixels[None, None])[0]


def encode_voices(voices: Sequence[SoundLike | None], slots: int, tokenizer: AudioTokenizer) -> list[Segment]:
    """One segment per voice: the first is of [Image 1], None for a character without one; four seconds at most.

    slots: how many characters there are. Errors: ReferenceError for more voices than characters, one that is too
    short or silent; MediaError for a file that cannot be read.
    """
    if len(voices) > max(slots, 1):
        raise ReferenceError(
            f"{len(voices)} voices were given for {slots} character(s); give one for each, None where there is none"
        )
    segments = []
    for slot, voice in enumerate(voices, start=1):
        if voice is None:
            continue
        sound = voice if isinstance(voice, Sound) else Sound.open(voice)
        try:
            waveform = voice_sample(sound, tokenizer.spec, MAX_VOICE)
        except ValueError as error:
            raise ReferenceError(f"the voice of [Image {slot}] {error}") from error
        with torch.inference_mode():
            latents = tokenizer.encode(waveform[None])[0][:MAX_VOICE]
        segments.append(voice_segment(latents, slot))
    return segments
