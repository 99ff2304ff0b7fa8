"""A folder's metadata.jsonl: what is wrong with its lines, and the commands that mend them.

Commands find a line by what is in it, so that they can be run in any order.
"""

import json
import re
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from horsekit.character import METADATA, PICTURES, CharacterClip, CharacterError, read_entry
from horsekit.doctor.diagnosis import Finding
from horsekit.media import replacing
from horsekit.prompt import PromptError, mentions

SUFFIXES = {".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi"}
ENOUGH = 24  # letters of a caption by which it is found in its line
_FILE_NAME = re.compile(r'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")')


def media_files(folder: Path) -> list[Path]:
    """The clips and pictures in a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES | PICTURES)


def convert_captions(folder: Path) -> list[Finding]:
    """Write metadata.jsonl from the .txt files beside clips and pictures where there is none.

    Returns what is wrong with those that cannot be read; nothing is written before they are mended.
    """
    listing, rows, findings = folder / METADATA, [], []
    if listing.exists():
        return []
    for path in media_files(folder):
        text = path.with_suffix(".txt")
        if not text.is_file():
            continue
        try:
            prompt = " ".join(text.read_text(encoding="utf-8").split())
        except UnicodeDecodeError:
            findings.append(_not_text(text))
            continue
        rows.append(json.dumps({"file_name": path.name, "prompt": prompt}))
    if rows and not findings:
        with replacing(listing) as draft:
            draft.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return findings


def read_listing(folder: Path, of_character: bool) -> tuple[list[CharacterClip], list[Finding]]:
    """The lines of a folder's listing that can be used, and what is wrong with the others and with what has none.

    of_character: the folder is a brand character's, which needs a listing, and captions that name the character.
    """
    listing = folder / METADATA
    if not listing.is_file():
        if any(path.with_suffix(".txt").is_file() for path in media_files(folder)):
            return [], []  # captions that could not be converted: see convert_captions
        what = "it does not exist, so the character cannot be loaded"
        missing = [Finding("error", f"{folder.name}/{METADATA}", what, captioned(listing, "a.mp4"))]
        return [], (missing if of_character else _uncaptioned(folder, []))
    try:
        lines = listing.read_bytes().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        return [], [_not_text(listing)]
    entries, findings = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = read_entry(folder, line, number)
        except CharacterError as error:
            findings.append(Finding("error", METADATA, str(error), _without(line, listing)))
            continue
        try:
            unnamed = _unnamed(entry, line, listing)
        except PromptError as error:  # a mention that there cannot be
            edit = f"$EDITOR +{number} {shlex.quote(str(listing))}"
            findings.append(Finding("error", entry.path.name, str(error), edit))
            continue
        entries.append(entry)
        findings += unnamed if of_character else []
    return entries, findings + _uncaptioned(folder, entries)


def captioned(listing: Path, name: str) -> str:
    """A command that adds a file's line to the listing, on a line of its own."""
    line = shlex.quote(json.dumps({"file_name": name, "prompt": "[Image 1] ..."}))
    ended = not listing.is_file() or listing.read_bytes().endswith(b"\n")
    form = r"%s\n" if ended else r"\n%s\n"
    return f"printf '{form}' {line} >> {shlex.quote(str(listing))}"


def removed(path: Path, folder: Path) -> str:
    """A command that removes a clip or picture of a folder, and its line from the listing."""
    listing, name = folder / METADATA, path.relative_to(folder)
    for line in listing.read_text(encoding="utf-8").splitlines():
        if (named := _FILE_NAME.search(line)) and _read(named[1]) == name:
            unlist = shlex.quote(f"/{_literal(named[0])}/d")
            return f"rm {shlex.quote(str(path))} && sed -i {unlist} {shlex.quote(str(listing))}"
    return f"rm {shlex.quote(str(path))}"


def _read(name: str) -> Path | None:
    """The file that a line names, in JSON; None for what is none."""
    with suppress(ValueError):
        return Path(json.loads(name))
    return None


def _uncaptioned(folder: Path, entries: Sequence[CharacterClip]) -> list[Finding]:
    listed, listing = {entry.path for entry in entries}, folder / METADATA
    what = "it has no caption, so it will not train"
    return [
        Finding("warning", path.name, what, captioned(listing, path.name))
        for path in media_files(folder)
        if path not in listed
    ]


def _unnamed(entry: CharacterClip, line: str, listing: Path) -> list[Finding]:
    """A clip of the character whose caption, in some wording, does not name it."""
    wordings = [prompt for prompt in entry.prompts if not mentions(prompt)]
    if not wordings:
        return []
    what = "its caption does not mention [Image 1], so the character is learnt without its name"
    return [Finding("warning", entry.path.name, what, _naming(wordings, line, listing))]


def _naming(wordings: Sequence[str], line: str, listing: Path) -> str:
    """A command that has these wordings of a line begin with the character's name."""
    place, named, edits = shlex.quote(str(listing)), _FILE_NAME.search(line), []
    for prompt in wordings:
        spelt = [text for plain in (True, False) if (text := json.dumps(prompt, ensure_ascii=plain)) in line]
        if not spelt or named is None:
            return f"$EDITOR {place}"
        lengths = range(min(ENOUGH, len(spelt[0])), len(spelt[0]))
        begun = spelt[0][: next((n for n in lengths if line.count(spelt[0][:n]) == 1), len(spelt[0]))]
        told = '"[Image 1]: ' + begun[1:]
        edits.append(f"s/{_literal(begun)}/{_replacing(told)}/")
    edit = f"/{_literal(named[0])}/{{ {'; '.join(edits)} }}"
    return f"sed -i {shlex.quote(edit)} {place}"


def _without(line: str, listing: Path) -> str:
    """A command that takes a line out of the listing."""
    place, draft = shlex.quote(str(listing)), shlex.quote(f"{listing}.new")
    return f"grep -vxFe {shlex.quote(line)} {place} > {draft}; mv {draft} {place}"


def _not_text(path: Path) -> Finding:
    source, draft = shlex.quote(str(path)), shlex.quote(f"{path}.new")
    fix = f"iconv -f WINDOWS-1252 -t UTF-8 {source} > {draft} && mv {draft} {source}  # or whatever it is in"
    return Finding("error", path.name, "it is not UTF-8 text", fix)


def _literal(text: str) -> str:
    """Text as sed finds it."""
    return re.sub(r"[\\/.*\[\]^$]", r"\\\g<0>", text)


def _replacing(text: str) -> str:
    """Text as sed puts it in."""
    return re.sub(r"[\\/&]", r"\\\g<0>", text)
