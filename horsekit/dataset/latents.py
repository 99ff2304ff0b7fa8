"""Samples on disk: Arrow shards through Hugging Face datasets, memory-mapped, written atomically.

T latent frames, h w latent grid, N audio tokens, C channels, R reference pictures
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset, Features, List, Value, concatenate_datasets, load_from_disk
from datasets.utils.logging import disable_progress_bar
from torch import Tensor

from horsekit.dataset.sample import LatentSample
from horsekit.media import replacing_folder

_NUMBERS = List(Value("float16"))
_SHAPE = List(Value("int32"))
_FEATURES = Features(
    {
        "video": _NUMBERS,
        "video_shape": _SHAPE,
        "audio": _NUMBERS,
        "audio_shape": _SHAPE,
        "prompts": List(Value("string")),
        "described": List(Value("string")),
        "slots": _SHAPE,
        "references": _NUMBERS,
        "references_shape": _SHAPE,
        "focus": _NUMBERS,
        "shows": List(Value("int8")),
        "voice_slots": _SHAPE,
        "voices": _NUMBERS,
        "voice_lengths": _SHAPE,
    }
)


class LatentDataset:
    """Latent samples by number. Errors: ValueError when a folder holds no complete shard."""

    def __init__(self, table: Dataset) -> None:
        self._table = table.with_format("numpy")
        shapes = zip(table["video_shape"], table["audio_shape"], strict=True)
        self.buckets = [(*video[:3], audio[0] if audio else 0) for video, audio in shapes]

    @classmethod
    def of(cls, samples: Iterable[LatentSample]) -> "LatentDataset":
        """A dataset in memory. Errors: ValueError when there is no sample."""
        return cls(_table(samples))

    @classmethod
    def open(cls, folder: Path | str) -> "LatentDataset":
        """All complete shards of a folder, in the order of their names."""
        shards = sorted(path for path in Path(folder).glob("shard-*") if is_shard(path))
        if not shards:
            raise ValueError(
                f"{folder} holds no cached latents; build them first, "
                f"python -m horsekit.dataset.stage {folder} --clips N, with --stills, --twins or --split as is meant"
            )
        tables = [load_from_disk(str(path)) for path in shards]
        for path, table in zip(shards, tables, strict=True):
            if table.features != _FEATURES:
                raise ValueError(
                    f"{path} was written by another version of horsekit; delete it and build it again"
                )
        return cls(concatenate_datasets(tables))

    @property
    def known(self) -> bool:
        """Whether any of them comes with pictures or voices of whom it shows."""
        return any(len(slots) for kind in ("slots", "voice_slots") for slots in self._table[kind])

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, index: int) -> LatentSample:
        row = self._table[index]
        audio = _tensor(row["audio"], row["audio_shape"]) if len(row["audio_shape"]) else None
        pictures = _tensor(row["references"], row["references_shape"]) if len(row["references_shape"]) else ()
        slots = [int(slot) for slot in row["slots"]]
        focus = _tensor(row["focus"], row["video_shape"][:3]) if len(row["focus"]) else None
        return LatentSample(
            video=_tensor(row["video"], row["video_shape"]),
            audio=audio,
            prompts=tuple(str(prompt) for prompt in row["prompts"]),
            references={
                slot: torch.stack([p for s, p in zip(slots, pictures, strict=True) if s == slot])
                for slot in sorted(set(slots))
            },
            focus=focus,
            voices=_voices(row),
            shows=_tensor(row["shows"], row["video_shape"][:3]).long() if len(row["shows"]) else None,
            described=tuple(str(prompt) for prompt in row["described"]),
        )


def write_shard(samples: Iterable[LatentSample], path: Path) -> None:
    """Write one shard folder; it appears complete or not at all. One that another process wrote meanwhile stays."""
    disable_progress_bar()
    try:
        with replacing_folder(path) as draft:
            _table(samples).save_to_disk(str(draft))
    except OSError:
        if not is_shard(path):
            raise


def is_shard(path: Path) -> bool:
    """Whether a shard is there, complete."""
    return (path / "state.json").is_file()


def shard_size(path: Path) -> int:
    """How many samples a shard holds, 0 where there is none."""
    return len(load_from_disk(str(path))) if is_shard(path) else 0


def _table(samples: Iterable[LatentSample]) -> Dataset:
    rows = [_row(sample) for sample in samples]
    if not rows:
        raise ValueError("the dataset is empty; give at least one sample")
    return Dataset.from_list(rows, features=_FEATURES)


def _row(sample: LatentSample) -> dict:
    pictures = [(slot, picture) for slot, stack in sample.references.items() for picture in stack]
    references = torch.stack([picture for _, picture in pictures]) if pictures else None
    return {
        "video": _numbers(sample.video),
        "video_shape": list(sample.video.shape),
        "audio": _numbers(sample.audio),
        "audio_shape": [] if sample.audio is None else list(sample.audio.shape),
        "prompts": list(sample.prompts),
        "described": list(sample.described),
        "slots": [slot for slot, _ in pictures],
        "references": _numbers(references),
        "references_shape": [] if references is None else list(references.shape),
        "focus": _numbers(sample.focus),
        "shows": [] if sample.shows is None else sample.shows.flatten().tolist(),
        "voice_slots": list(sample.voices),
        "voices": _numbers(torch.cat([*sample.voices.values()]) if sample.voices else None),
        "voice_lengths": [len(voice) for voice in sample.voices.values()],
    }


def _voices(row: dict) -> dict[int, Tensor]:
    lengths = [int(length) for length in row["voice_lengths"]]
    if not lengths:
        return {}
    whole = _tensor(row["voices"], np.array([sum(lengths), -1]))
    return dict(zip(map(int, row["voice_slots"]), whole.split(lengths), strict=True))


def _numbers(tensor: Tensor | None) -> np.ndarray:
    if tensor is None:
        return np.zeros(0, np.float16)
    if not torch.isfinite(tensor).all():
        raise ValueError("latents hold NaN or infinity; check the clip they came from")
    return tensor.detach().cpu().half().numpy().ravel()


def _tensor(numbers: np.ndarray, shape: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(numbers, np.float32).reshape([int(n) for n in shape]))
