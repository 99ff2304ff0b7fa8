"""Text, pictures, video and sound as tokens of one sequence."""

from horsekit.sequence.segments import (
    MAX_REFERENCES,
    MAX_SLOTS,
    MAX_VOICE,
    Modality,
    Role,
    Segment,
    Sequence,
    audio_segment,
    from_patches,
    reference_segment,
    text_segment,
    to_patches,
    video_segment,
    voice_segment,
    words_segment,
)
from horsekit.sequence.stream import Batch, Stream, magihuman_packed, pack, unpack

__all__ = [
    "MAX_REFERENCES",
    "MAX_SLOTS",
    "MAX_VOICE",
    "Batch",
    "Modality",
    "Role",
    "Segment",
    "Sequence",
    "Stream",
    "audio_segment",
    "from_patches",
    "magihuman_packed",
    "pack",
    "reference_segment",
    "text_segment",
    "to_patches",
    "unpack",
    "video_segment",
    "voice_segment",
    "words_segment",
]
