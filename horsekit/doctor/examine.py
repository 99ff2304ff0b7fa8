"""Looking at a folder as the model will see it, for what is wrong with it and how to mend that.

H W pixels
"""

import hashlib
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from horsekit import clock
from horsekit.character import CARD, CLIPS, HELD_OUT, METADATA, CharacterClip
from horsekit.dataset.folder import LatentCache
from horsekit.doctor.character import examine_character, reference_pictures
from horsekit.doctor.diagnosis import NOBODY, Diagnosis, Examined, Finding, reencoded
from horsekit.doctor.faces import Watch
from horsekit.doctor.listing import captioned, convert_captions, read_listing, removed
from horsekit.doctor.measures import blur_effect, difference_hash, heard
from horsekit.media import Clip, MediaError, Picture
from horsekit.metrics.identity import LEAST_FACES

LATE = 80.0  # ms between picture and sound from which people notice (ITU-R BT.1359)
BLURRED = 0.55  # of the blur effect, 0 sharp to 1: above it, edges are not those of a camera in focus
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
    watch = Watch(face, () if face is None else reference_pictures(folder))
    of_character = (folder / CARD).is_file()
    parts = (
        [folder / name for name in (CLIPS, HELD_OUT) if (folder / name).is_dir()]
        if of_character
        else [folder]
    )
    findings = [finding for part in parts for finding in convert_captions(part)]
    if of_character:
        findings += examine_character(folder, cache, watch)
    files: list[Examined] = []
    seen: list[tuple[str, str, int]] = []
    for part in parts:
        entries, broken = read_listing(part, of_character)
        findings += broken
        for entry in tqdm(entries, desc=f"examine {part.name}", unit="file"):
            name = str(entry.path.relative_to(folder))
            try:
                examined, moment = _examined(entry, name, cache, watch)
            except (MediaError, ValueError) as error:
                fix = reencoded(entry.path, removed(entry.path, part))
                findings.append(Finding("error", name, str(error), fix))
                continue
            files.append(examined)
            findings += _complaints(examined, entry, part)
            findings += _duplicates(entry.path, part, name, moment, seen)
    if face is None and files and not any(examined.faces for examined in files):
        findings = [finding for finding in findings if NOBODY not in finding.what]
        what = f"{NOBODY} anywhere: horsekit's own reader knows rendered characters alone"
        fix = f"horsekit doctor {shlex.quote(str(folder))} --face NETWORK.pt2"
        findings.append(Finding("warning", str(folder), what, fix))
    if not files:
        findings.append(_nothing(folder / CLIPS if of_character else folder))
    return Diagnosis(folder, tuple(files), tuple(findings))


def _nothing(part: Path) -> Finding:
    """That there is no clip or picture to train on."""
    made = "" if part.is_dir() else f"mkdir {shlex.quote(str(part))} && "
    fix = f"{made}{captioned(part / METADATA, 'a.mp4')}  # for every clip"
    return Finding("error", str(part), "nothing here can be trained on", fix)


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
        _decoded(pieces, cache),
        **(heard(held) if clip.has_sound else {}),
    )
    return examined, held.frames[len(held.frames) // 2]


@torch.inference_mode()
def _decoded(pieces: Sequence[tuple[Tensor, Tensor | None]], cache: LatentCache) -> Clip:
    """All pieces of a clip, one after another."""
    video, audio = cache.tokenizers.video, cache.tokenizers.audio
    frames = torch.cat([video.decode(part[None])[0] for part, _ in pieces])
    if any(sound is None for _, sound in pieces):
        return Clip.silent(frames)
    waveform = torch.cat([audio.decode(sound[None])[0] for _, sound in pieces])
    return Clip(frames, waveform[:, None], sample_rate=audio.spec.sample_rate)


def _complaints(examined: Examined, entry: CharacterClip, part: Path) -> Iterator[Finding]:
    """What is to be said of a file that can be used, listed in the folder `part`."""
    path, name = shlex.quote(str(entry.path)), examined.file
    fixed = shlex.quote(str(entry.path.with_stem(entry.path.stem + "-fixed")))
    moved = f"&& mv {fixed} {path}"
    if not entry.is_picture and not any(tokens for *_, tokens in examined.buckets):
        quiet = "has no sound" if examined.loudness is None else f"is silent ({examined.loudness:.0f} dB)"
        what = f"it {quiet}, and trains the picture alone"
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
        fix = f"{removed(entry.path, part)}  # or film it again"
        yield Finding("warning", name, f"it is blurred ({examined.blur:.2f})", fix)
    if examined.faces < LEAST_FACES:
        what = f"{NOBODY} in {1 - examined.faces:.0%} of it"
        yield Finding("warning", name, what, removed(entry.path, part))


def _duplicates(
    path: Path, part: Path, name: str, moment: Tensor, seen: list[tuple[str, str, int]]
) -> Iterator[Finding]:
    """Whether a file has the content, or nearly the picture, of one seen before: (name, digest, hash) of each."""
    fix = removed(path, part)
    digest, bits = hashlib.sha256(path.read_bytes()).hexdigest(), difference_hash(moment)
    if any(other == name for other, *_ in seen):
        what = 'it is listed twice; give one line both wordings: "prompt": ["...", "..."]'
        yield Finding("warning", name, what, f"$EDITOR {shlex.quote(str(part / METADATA))}")
        return
    same = [other for other, known, _ in seen if known == digest]
    alike = [other for other, _, known in seen if (bits ^ known).bit_count() <= ALIKE]
    if same:
        yield Finding("warning", name, f"it is the same file as {same[0]}", fix)
    elif alike:
        yield Finding("warning", name, f"it looks the same as {alike[0]}", fix)
    seen.append((name, digest, bits))
