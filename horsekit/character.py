"""The brand character: a folder that a designer can edit.

card.yaml                     who it is, how it looks and sounds, what it may do, who owns it
references/*.png              one to nine pictures per look
clips/metadata.jsonl, *.mp4   clips to learn from: `file_name` and `prompt` (VideoFolder)
held_out/metadata.jsonl, ...  clips kept back for measuring
"""

import datetime
import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Annotated, Any

import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from horsekit import clock
from horsekit.excerpt import excerpt
from horsekit.media import Clip, Picture
from horsekit.prompt import Prompt, PromptError, mentions, normalised, timed_lines

CARD = "card.yaml"
METADATA = "metadata.jsonl"
CLIPS, HELD_OUT = "clips", "held_out"
MAX_REFERENCES = 9
PICTURES = {".png", ".jpg", ".jpeg", ".webp"}

Text = Annotated[str, Field(min_length=1)]


class CharacterError(ValueError):
    """A character's folder that cannot be used; the message names the file, the key and the remedy."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Look(_Part):
    """An outfit: its description in a prompt's words, and its pictures (left out: all in references/)."""

    description: Text
    references: tuple[Text, ...] = ()


class CardVoice(_Part):
    """How the character sounds: a language, a few seconds of its speech in a file, a voice of the synthesiser."""

    language: Text
    sample: Text | None = None
    variant: Text | None = None
    pitch: float | None = Field(None, ge=0, le=99)
    rate: int | None = Field(None, ge=80, le=450)
    description: Text | None = None


class Rights(_Part):
    """Who owns the character, under which licence, who consented to its use, and until when."""

    owner: Text
    licence: Text
    consent: Text | None = None
    expiry: datetime.date | None = None


class Card(_Part):
    """What card.yaml holds. `stage`: the true parameters (0..1) of a character of the rendered world."""

    name: Text
    summary: Text
    looks: dict[Text, Look] = Field(min_length=1)
    voice: CardVoice
    do: tuple[Text, ...] = ()
    dont: tuple[Text, ...] = ()
    rights: Rights
    regression_prompts: tuple[Text, ...] = ()
    stage: dict[Text, Annotated[float, Field(ge=0, le=1)]] | None = None


@dataclass(frozen=True)
class CharacterClip:
    """One line of metadata.jsonl: a clip's path, its prompt in one or more wordings, and the rest."""

    path: Path
    prompts: tuple[str, ...]
    extra: Mapping[str, Any]

    @property
    def look(self) -> str | None:
        """The look that it shows, as the card names it; None: the card's first."""
        return self.extra.get("look")

    @property
    def is_picture(self) -> bool:
        """Whether it is a picture and no clip."""
        return self.path.suffix.lower() in PICTURES

    def prompts_until(self, seconds: float) -> tuple[str, ...]:
        """Its prompts, less what they time later than a clip of so many seconds shows, but for those that say no more.

        Errors: PromptError naming the file, for a prompt that cannot be read.
        """
        end = clock.duration(clock.frame_count(seconds))
        try:
            cut = [excerpt(p, 0.0, end) if _last_time(p) > end else p for p in self.prompts]
            return tuple(p for p in cut if _last_time(p) <= end)
        except PromptError as error:
            raise PromptError(f"{self.path.parent / METADATA}, {self.path.name}: {error}") from error

    def open(self) -> Clip | Picture:
        """What is in the file. Errors: MediaError for one that cannot be read."""
        return (Picture if self.is_picture else Clip).open(self.path)


@dataclass(frozen=True, eq=False)
class BrandCharacter:
    """A character read from its folder, every file it names present."""

    folder: Path
    card: Card
    references: Mapping[str, tuple[Path, ...]]
    clips: tuple[CharacterClip, ...]
    held_out: tuple[CharacterClip, ...]
    voice: Path | None = None

    @classmethod
    def load(cls, folder: str | Path) -> "BrandCharacter":
        """Read and check a character's folder. Raises CharacterError."""
        folder = Path(folder).expanduser()
        if not folder.is_dir():
            raise CharacterError(f"{folder} is no folder. Give the folder that holds a character's {CARD}.")
        card = read_card(folder / CARD)
        references = {name: _references(folder, name, look) for name, look in card.looks.items()}
        clips, held_out = (tuple(read_clips(folder / part)) for part in (CLIPS, HELD_OUT))
        for clip in (*clips, *held_out):
            if clip.look is not None and clip.look not in references:
                raise CharacterError(
                    f"{clip.path.parent / METADATA}: {clip.path.name} has the look {clip.look!r}, which the card does "
                    f"not know. Choose {_one_of(references)}, or add it to the card."
                )
        voice = _voice(folder, card.voice)
        return cls(folder, card, MappingProxyType(references), clips, held_out, voice)

    @property
    def name(self) -> str:
        """The character's name."""
        return self.card.name

    @property
    def parameters(self) -> Tensor | None:
        """True parameters [P] float32 in the order of the card, for a character of the rendered world."""
        return None if self.card.stage is None else torch.tensor(list(self.card.stage.values()))

    @property
    def kept_back(self) -> tuple[CharacterClip, ...]:
        """The held-out clips of its first look, by which it is measured."""
        return tuple(clip for clip in self.held_out if clip.look in (None, next(iter(self.references))))

    def prompts_for(self, seconds: float) -> tuple[str, ...]:
        """What to ask for it by: its held-out clips' prompts, each clip's first wording before any second one.

        What they time later than a clip of so many seconds shows is left out. Of a character without such prompts the
        card's regression prompts, but for those on others as well.
        """
        wordings = zip_longest(*(clip.prompts_until(seconds) for clip in self.kept_back))
        alone = tuple(prompt for prompt in self.card.regression_prompts if mentions(prompt) <= {1})
        return tuple(p for row in wordings for p in row if p) or alone

    def pictures(self, look: str | None = None) -> list[Picture]:
        """The reference pictures of a look; the card's first where none is named."""
        look = next(iter(self.references)) if look is None else look
        if look not in self.references:
            raise CharacterError(f"{self.name} has no look {look!r}. Choose {_one_of(self.references)}.")
        return [Picture.open(path) for path in self.references[look]]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the card, the reference pictures, the voice and the clips, by name and content."""
        files = {self.folder / CARD, *(path for paths in self.references.values() for path in paths)}
        files |= set() if self.voice is None else {self.voice}
        for part in (self.clips, self.held_out):
            files |= {clip.path for clip in part} | {clip.path.parent / METADATA for clip in part}
        total = hashlib.sha256()
        for path in sorted(files, key=lambda path: path.relative_to(self.folder).as_posix()):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            total.update(f"{content}  {path.relative_to(self.folder).as_posix()}\n".encode())
        return total.hexdigest()

    @property
    def metadata(self) -> dict[str, str]:
        """What an adapter trained on the character, and every clip it makes, says of it."""
        rights = self.card.rights.model_dump(mode="json", exclude_none=True)
        return {"character": self.name, "card": self.digest, **rights}

    def concerns(self, today: datetime.date | None = None) -> list[str]:
        """What stands against the character's use: rights that ran out, consent that is missing."""
        return concerns(self.metadata, f"{self.folder / CARD}: rights", today)


def _last_time(prompt: str) -> float:
    """The last second that a prompt names."""
    prompt = normalised(prompt)
    ends = [line.end for line in timed_lines(prompt)]
    return max([0.0, *ends, *(shot.end for shot in Prompt.parse(prompt).shots if shot.end is not None)])


def joint_metadata(characters: Sequence[BrandCharacter]) -> dict[str, str]:
    """What an adapter trained on several characters says of them.

    Their values in a row; of expiries the first, and consent only where all have it.
    """
    said = [character.metadata for character in characters]
    joint = {key: ", ".join(of[key] for of in said if key in of) for of in said for key in of}
    if "expiry" in joint:
        joint["expiry"] = min(of["expiry"] for of in said if "expiry" in of)
    if not all("consent" in of for of in said):
        joint.pop("consent", None)
    return joint


def concerns(metadata: Mapping[str, str], where: str, today: datetime.date | None = None) -> list[str]:
    """What stands against the use of a character, by what its adapter or a clip of it says; `where` says it."""
    found = []
    expiry = metadata.get("expiry")
    if expiry is not None and datetime.date.fromisoformat(expiry) < (today or datetime.date.today()):
        found.append(f"{where}.expiry: the rights ended on {expiry}; renew them.")
    if "character" in metadata and "consent" not in metadata:
        found.append(f"{where}.consent: nobody's is named; write who consented, and when.")
    return found


def read_card(path: Path) -> Card:
    """The card in a file, checked by itself. Raises CharacterError naming every key that is wrong."""
    if not path.is_file():
        raise CharacterError(f"{path} does not exist. Write one; data/README.md shows how.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise CharacterError(f"{path} is not UTF-8 text. Save it as UTF-8.") from error
    except yaml.YAMLError as error:
        raise CharacterError(
            f"{path} is not valid YAML: {' '.join(str(error).split())}. Mend it there."
        ) from error
    if not isinstance(content, dict):
        raise CharacterError(f"{path} holds no keys. Write one; data/README.md shows how.")
    try:
        return Card.model_validate(content)
    except ValidationError as error:
        raise CharacterError("\n".join(_said(path, problem) for problem in error.errors())) from error


def _said(path: Path, problem: Mapping[str, Any]) -> str:
    """A problem that pydantic found, as file, key, what is wrong and the remedy."""
    *parents, last = (str(step) for step in problem["loc"])
    key = ".".join((*parents, last))
    if problem["type"] == "missing":
        return f"{path}: {key} is missing. Add it."
    if problem["type"] == "extra_forbidden":
        known = _keys(parents)
        near = difflib.get_close_matches(last, known, 1)
        remedy = f"Did you mean {near[0]!r}?" if near else f"Known are {', '.join(known)}."
        return f"{path}: {key} is unknown. {remedy}"
    return f"{path}: {key} is {problem['input']!r}: {problem['msg'].lower()}. Correct it."


def _keys(parents: list[str]) -> list[str]:
    """The keys known at a place in the card: `looks` has names of one's own before the keys of a look."""
    models = {"looks": Look, "voice": CardVoice, "rights": Rights}
    return list((models[parents[0]] if parents else Card).model_fields)


def _voice(folder: Path, voice: CardVoice) -> Path | None:
    return None if voice.sample is None else _inside(folder, voice.sample, f"{folder / CARD}: voice.sample")


def _references(folder: Path, name: str, look: Look) -> tuple[Path, ...]:
    key = f"{folder / CARD}: looks.{name}.references"
    if look.references:
        paths = tuple(_inside(folder, item, key) for item in look.references)
    else:
        paths = tuple(
            sorted(path for path in (folder / "references").glob("*") if path.suffix.lower() in PICTURES)
        )
    if not 1 <= len(paths) <= MAX_REFERENCES:
        raise CharacterError(
            f"{key}: {len(paths)} pictures; a look has 1 to {MAX_REFERENCES}. Put them into "
            f"{folder / 'references'}, and name those of the look where there are more."
        )
    return paths


def read_clips(folder: Path) -> Iterator[CharacterClip]:
    """The clips that folder/metadata.jsonl lists, in its order; none without a folder.

    Raises CharacterError for a line that is broken or names a file that is not there.
    """
    if not folder.exists():
        return
    listing = folder / METADATA
    if not listing.is_file():
        raise CharacterError(
            f"{listing} does not exist. Write a line with file_name and prompt for each clip; from captions in .txt "
            "files horsekit doctor makes it."
        )
    try:
        lines = listing.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise CharacterError(f"{listing} is not UTF-8 text. Save it as UTF-8.") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        yield read_entry(folder, line, number)


def read_entry(folder: Path, line: str, number: int) -> CharacterClip:
    """What line `number` of folder/metadata.jsonl says. Raises CharacterError, naming the line."""
    where = f"{folder / METADATA}, line {number}"
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise CharacterError(f"{where} is not valid JSON: {error}. Mend it there.") from error
    name, prompts = (row.get("file_name"), row.get("prompt")) if isinstance(row, dict) else (None, None)
    prompts = prompts if isinstance(prompts, list) else [prompts]
    for key, texts in (("file_name", [name]), ("prompt", prompts)):
        if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
            raise CharacterError(f"{where}: {key} is missing or no text. Add it.")
    if not isinstance(row.get("look"), str | None):
        raise CharacterError(f"{where}: look is no text. Write the name of one of the card's looks.")
    extra = {key: value for key, value in row.items() if key not in ("file_name", "prompt")}
    path = _inside(folder, name, f"{where}: file_name")
    return CharacterClip(path, tuple(prompts), MappingProxyType(extra))


def _inside(folder: Path, name: str, where: str) -> Path:
    """The file of that name in the folder, which may not lead out of it."""
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise CharacterError(f"{where}: {name!r} leads out of {folder}. Copy the file into it.")
    if not (folder / name).is_file():
        raise CharacterError(f"{where}: {folder / name} does not exist. Add the file or drop the entry.")
    return folder / name


def _one_of(names: Mapping[str, Any]) -> str:
    return " or ".join(repr(name) for name in names)
