"""The truth about a clip: all that is known of it, kept exactly, as safetensors and JSON.

C characters, F frames, P character parameters.
"""

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from horsekit.media import MediaError, replacing
from horsekit.stage.cast import Voice
from horsekit.stage.light import Light
from horsekit.stage.visemes import Phoneme

if TYPE_CHECKING:
    from horsekit.stage.render import RenderedView
    from horsekit.stage.script import Script


@dataclass(frozen=True, eq=False)
class Truth:
    """The exact record of a clip.

    Per frame: camera_position [F, 3], camera_rotation [F, 3, 3], camera_focal [F] (picture heights),
    head_pose [C, F, 3] (radians), blink [C, F], mouth [C, F, 5], mouth_box and head_box [C, F, 4] (centre x,
    centre y, width, height in pixels), visible [C, F]. Per character: parameters [C, P], identities (-1 for
    a character given from outside), voices. Then the seed and split, who says which line in which language
    from `speech_start` s, every phoneme (symbol, start, end in seconds of the clip), the camera move's name,
    speed and magnitude, the light, the seed of the room, the ambient sound and the layers of the prompt.
    """

    camera_position: Tensor
    camera_rotation: Tensor
    camera_focal: Tensor
    head_pose: Tensor
    blink: Tensor
    mouth: Tensor
    mouth_box: Tensor
    head_box: Tensor
    visible: Tensor
    parameters: Tensor
    identities: tuple[int, ...]
    voices: tuple[Voice, ...]
    seed: int
    split: str
    speaker: int
    line: str | None
    language: str | None
    speech_start: float | None
    phonemes: tuple[Phoneme, ...]
    move: str
    speed: str
    magnitude: float
    light: Light
    room: int
    ambience: str
    mirrored: bool
    layers: dict[str, str]

    @property
    def frames(self) -> int:
        """How many frames the clip has."""
        return self.mouth.shape[1]

    @classmethod
    def of(cls, script: "Script", view: "RenderedView") -> "Truth":
        """The truth of a script as it was rendered."""
        said = script.line
        return cls(
            camera_position=view.camera.position,
            camera_rotation=view.camera.rotation,
            camera_focal=view.camera.focal,
            head_pose=view.head_pose,
            blink=script.scene.blink,
            mouth=view.mouth,
            mouth_box=view.mouth_box,
            head_box=view.head_box,
            visible=view.visible,
            parameters=torch.stack([c.parameters for c in script.characters]),
            identities=script.identities,
            voices=tuple(c.voice for c in script.characters),
            seed=script.seed,
            split=script.split,
            speaker=script.speaker,
            line=said.text if said else None,
            language=said.language if said else None,
            speech_start=said.start if said else None,
            phonemes=script.phonemes,
            move=script.camera.kind,
            speed=script.camera.speed,
            magnitude=script.camera.magnitude,
            light=script.light,
            room=script.background.seed,
            ambience=script.ambience,
            mirrored=script.mirrored,
            layers=script.layers(),
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write <path>.safetensors and, last, <path>.json; each whole or not at all. Returns the latter."""
        tensors, facts = {}, {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                tensors[field.name] = value.contiguous().cpu()
            else:
                facts[field.name] = value
        facts["voices"] = [asdict(v) for v in self.voices]
        facts["light"] = asdict(self.light)
        facts["phonemes"] = [[p.symbol, p.start, p.end, *p.visemes] for p in self.phonemes]
        arrays, record = _paths(path)
        with replacing(arrays) as temporary:
            save_file(tensors, temporary)
        with replacing(record) as temporary:
            temporary.write_text(json.dumps(facts, ensure_ascii=False, indent=1), encoding="utf-8")
        return record

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Truth":
        """Read what `save` wrote. Raises MediaError that names the file and what is wrong with it."""
        arrays, record = _paths(path)
        try:
            facts = json.loads(record.read_text(encoding="utf-8"))
            tensors = load_file(arrays)
            facts["voices"] = tuple(Voice(**voice) for voice in facts["voices"])
            facts["light"] = Light(**facts["light"])
            facts["phonemes"] = tuple(Phoneme(*entry[:3]) for entry in facts["phonemes"])
            facts["identities"] = tuple(facts["identities"])
            return cls(**facts, **tensors)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise MediaError(
                f"{record} is not the truth of a clip ({error}); stage the clip again"
            ) from error


def _paths(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    base = Path(path).expanduser()
    if base.suffix in (".json", ".safetensors"):
        base = base.with_suffix("")
    return base.with_name(f"{base.name}.safetensors"), base.with_name(f"{base.name}.json")
