"""Looking at a folder as the model will see it, for what is wrong with it and how to mend that.

H W pixels
"""

import hashlib
import json
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from horsekit import clock
from horsekit.character import (
    CARD,
    METADATA,
    PICTURES,
    BrandCharacter,
    CharacterClip,
    CharacterError,
    read_entry,
)
from horsekit.dataset.folder import LatentCache
from horsekit.doctor.diagnosis import Diagnosis, Examined, Finding
from horsekit.doctor.faces import Watch
from horsekit.doctor.measures import QUIET, blur_effect, difference_hash, heard
from horsekit.media import Clip, MediaError, Picture, replacing
from horsekit.metrics.identity import LEAST_FACES
from horsekit.prompt import mentions

CLIPS = {".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi"}
LATE = 80.0  # ms between picture and sound from which people notice (ITU-R BT.1359)
BLURRED = 0.55  # of the blur effect, 0 sharp to 1: above it, edges are not those of a camera in focus
NOBODY = "no character is seen"
ALIKE = 3  # bits of 64 in which the pictures of one and the same moment may differ


def examine(folder: Path | str, cache: LatentCache, face: nn.Module | None = None) -> Diagnosis:
    """Look at every file of a folder of clips and pictures, or of a brand character's, with a progress bar.

    Captions in .txt files beside the clips are written into a metadata.jsonl first where there is none. face: for
    footage that was not rendered, an embedding (metrics.networks) that knows the character by its references.
    Errors: ValueError for what is no folder, or a face network without reference pictures.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; give one that holds clips or pictures")
    watch = Watch(face, () if face is None else _reference_pictures(folder))
    findings: list[Finding] = []
    parts = [folder]
    if (folder / CARD).is_file():
        findings += _card(folder)
        parts = [folder / name for name in ("clips", "held_out") if (folder / name).is_dir()]
        findings += _references(folder, cache, watch)
    files: list[Examined] = []
    seen: list[tuple[str, str, int]] = []
    for part in parts:
        convert_captions(part)
        entries, broken = _entries(part, with_references=part != folder)
        findings += broken
        for entry in tqdm(entries, desc=f"examine {part.name}", unit="file"):
            name = str(entry.path.relative_to(folder))
            try:
                examined, moment = _examined(entry, name, cache, watch)
            except (MediaError, ValueError) as error:
                findings.append(Finding("error", name, str(error), _reencode(entry.path)))
                continue
            files.append(examined)
            findings += _complaints(examined, entry)
            findings += _duplicates(entry.path, name, moment, seen)
    if face is None and files and not any(examined.faces for examined in files):
        findings = [finding for finding in findings if NOBODY not in finding.what]
        what = f"{NOBODY} anywhere: horsekit's own reader knows rendered characters alone"
        fix = f"horsekit doctor {shlex.quote(str(folder))} --face NETWORK.pt2"
        findings.append(Finding("warning", str(folder), what, fix))
    if not files:
        fix = f"{_captioned(parts[0] / METADATA, 'a.mp4')}  # for every clip"
        findings.append(Finding("error", str(folder), "nothing here can be trained on", fix))
    return Diagnosis(folder, tuple(files), tuple(findings))


def convert_captions(folder: Path) -> int:
    """Write metadata.jsonl from the .txt files beside clips and pictures where there is none; how many lines."""
    listing = folder / METADATA
    captions = {path: path.with_suffix(".txt") for path in _media(folder)}
    rows = [
        json.dumps({"file_name": path.name, "prompt": " ".join(text.read_text(encoding="utf-8").split())})
        for path, text in captions.items()
        if text.is_file()
    ]
    if listing.exists() or not rows:
        return 0
    with replacing(listing) as draft:
        draft.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return len(rows)


def _media(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in CLIPS | PICTURES)


def _card(folder: Path) -> Iterator[Finding]:
    place = shlex.quote(str(folder / CARD))
    try:
        concerns = BrandCharacter.load(folder).concerns()
    except CharacterError as error:
        yield from (Finding("error", CARD, line, f"$EDITOR {place}") for line in str(error).splitlines())
        return
    yield from (Finding("warning", CARD, concern, f"$EDITOR {place}") for concern in concerns)


def _reference_pictures(folder: Path) -> tuple[Picture, ...]:
    """The reference pictures that can be read. Errors: ValueError where there is none."""
    found = []
    for path in _reference_files(folder):
        with suppress(MediaError):
            found.append(Picture.open(path))
    if not found:
        raise ValueError(f"{folder} has no reference pictures to know a face by; put some into references/")
    return tuple(found)


def _reference_files(folder: Path) -> list[Path]:
    place = folder / "references"
    return _media(place) if place.is_dir() else []


def _references(folder: Path, cache: LatentCache, watch: Watch) -> Iterator[Finding]:
    """Reference pictures that cannot be read, show nobody, or somebody else than the others."""
    known: list[tuple[Path, Picture]] = []
    for path in _reference_files(folder):
        name = str(path.relative_to(folder))
        try:
            cache.reference(path)
            picture = Picture.open(path)
        except (MediaError, ValueError) as error:
            yield Finding("error", name, str(error), _reencode(path))
            continue
        if watch.network is None and not watch.share(picture.pixels[None]):
            yield Finding("warning", name, f"{NOBODY} in it", f"rm {shlex.quote(str(path))}")
        else:
            known.append((path, picture))
    for k in watch.strangers([picture for _, picture in known]):
        path = known[k][0]
        what = "it shows somebody else than the others"
        yield Finding("warning", str(path.relative_to(folder)), what, f"rm {shlex.quote(str(path))}")


def _entries(folder: Path, with_references: bool) -> tuple[list[CharacterClip], list[Finding]]:
    """The lines of a metadata.jsonl that can be read, and what is wrong with the others and with what has none."""
    listing, entries, findings = folder / METADATA, [], []
    place = shlex.quote(str(listing))
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entries.append((number, read_entry(folder, line, number)))
        except CharacterError as error:
            findings.append(Finding("error", METADATA, str(error), f"sed -i '{number}d' {place}"))
    listed = {entry.path for _, entry in entries}
    for path in _media(folder):
        if path not in listed:
            what = "it has no caption, so it will not train"
            findings.append(Finding("warning", path.name, what, _captioned(listing, path.name)))
    if with_references:
        for number, entry in entries:
            if not all(mentions(prompt) for prompt in entry.prompts):
                fix = f"""sed -i '{number}s/"prompt": *"/&[Image 1]: /' {place}"""
                what = "its caption does not mention [Image 1], so the character is learnt without its name"
                findings.append(Finding("warning", entry.path.name, what, fix))
    return [entry for _, entry in entries], findings


def _examined(entry: CharacterClip, name: str, cache: LatentCache, watch: Watch) -> tuple[Examined, Tensor]:
    """A file as the model will see it, and its middle frame [H, W, 3] as it was handed in."""
    if entry.is_picture:
        picture, latents = Picture.open(entry.path), cache.picture(entry.path)
        fitted = picture.fitted(*cache.size(*picture.pixels.shape[:2])).pixels[None]
        shown = Picture(cache.tokenizers.video.decode(latents[None])[0, 0])
        faces = watch.share(picture.pixels[None] if watch.network else fitted)
        buckets = ((*latents.shape[:3], 0),)
        return Examined(name, entry.prompts[0], buckets, 0, blur_effect(fitted), faces, shown), fitted[0]
    clip, pieces = Clip.open(entry.path), cache.clip(entry.path)
    held = clip.conformed(*cache.size(*clip.frames.shape[1:3]))
    used = sum(clock.latent_frames(len(video)) for video, _ in pieces)
    examined = Examined(
        name,
        entry.prompts[0],
        tuple((*video.shape[:3], 0 if audio is None else len(audio)) for video, audio in pieces),
        len(held.frames) - used,
        blur_effect(held.frames),
        watch.share(clip.frames if watch.network else held.frames),  # a network wants what detail there is
        _decoded(*pieces[0], cache),
        **(heard(held) if clip.has_sound else {}),
    )
    return examined, held.frames[len(held.frames) // 2]


@torch.inference_mode()
def _decoded(video: Tensor, audio: Tensor | None, cache: LatentCache) -> Clip:
    frames = cache.tokenizers.video.decode(video[None])[0]
    if audio is None:
        return Clip.silent(frames)
    waveform = cache.tokenizers.audio.decode(audio[None])[0][:, None]
    return Clip(frames, waveform, sample_rate=cache.tokenizers.audio.spec.sample_rate)


def _complaints(examined: Examined, entry: CharacterClip) -> Iterator[Finding]:
    """What is to be said of a file that can be used."""
    path, name = shlex.quote(str(entry.path)), examined.file
    fixed = shlex.quote(str(entry.path.with_stem(entry.path.stem + "-fixed")))
    moved = f"&& mv {fixed} {path}"
    if not entry.is_picture and (examined.loudness is None or examined.loudness < QUIET):
        what = "it has no sound, and trains the picture alone"
        yield Finding(
            "warning",
            name,
            what,
            f"ffmpeg -i {path} -i VOICE.wav -map 0:v -map 1:a -c:v copy {fixed} {moved}",
        )
    elif examined.offset is not None and abs(examined.offset) > LATE:
        early = "early" if examined.offset > 0 else "late"
        what = f"its sound is {abs(examined.offset):.0f} ms {early}"
        fix = f"ffmpeg -i {path} -itsoffset {examined.offset / 1000:.3f} -i {path} -map 0:v -map 1:a {fixed} {moved}"
        yield Finding("warning", name, what, fix)
    if examined.blur > BLURRED:
        yield Finding(
            "warning", name, f"it is blurred ({examined.blur:.2f})", f"rm {path}  # or film it again"
        )
    if examined.faces < LEAST_FACES:
        what = f"{NOBODY} in {1 - examined.faces:.0%} of it"
        yield Finding("warning", name, what, f"rm {path}  # and its line in {METADATA}")


def _duplicates(path: Path, name: str, moment: Tensor, seen: list[tuple[str, str, int]]) -> Iterator[Finding]:
    """Whether a file has the content, or nearly the picture, of one seen before: (name, digest, hash) of each."""
    fix = f"rm {shlex.quote(str(path))}  # and its line in {METADATA}"
    digest, bits = hashlib.sha256(path.read_bytes()).hexdigest(), difference_hash(moment)
    same = [other for other, known, _ in seen if known == digest]
    alike = [other for other, _, known in seen if (bits ^ known).bit_count() <= ALIKE]
    if same:
        yield Finding("warning", name, f"it is the same file as {same[0]}", fix)
    elif alike:
        yield Finding("warning", name, f"it looks the same as {alike[0]}", fix)
    seen.append((name, digest, bits))


def _captioned(listing: Path, name: str) -> str:
    """A command that adds a file's line to the listing, on a line of its own."""
    line = shlex.quote(json.dumps({"file_name": name, "prompt": "[Image 1] ..."}))
    ended = not listing.is_file() or listing.read_bytes().endswith(b"\n")
    form = r"%s\n" if ended else r"\n%s\n"
    return f"printf '{form}' {line} >> {shlex.quote(str(listing))}"


def _reencode(path: Path) -> str:
    source, fixed = (shlex.quote(str(p)) for p in (path, path.with_stem(path.stem + "-fixed")))
    return f"ffmpeg -i {source} {fixed} && mv {fixed} {source}  # or rm {source}"
