"""What a brand character's folder says of it besides its clips: the card, the reference pictures, the voice."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from horsekit.character import CARD, CLIPS, METADATA, BrandCharacter, CharacterError
from horsekit.dataset.folder import LatentCache
from horsekit.doctor.diagnosis import NOBODY, Finding, reencoded
from horsekit.doctor.faces import Watch
from horsekit.doctor.listing import media_files
from horsekit.media import MediaError, Picture


def examine_character(folder: Path, cache: LatentCache, watch: Watch) -> Iterator[Finding]:
    """What is wrong with the card, with reference pictures and with the voice."""
    place = f"$EDITOR {shlex.quote(str(folder / CARD))}"
    try:
        brand = BrandCharacter.load(folder)
    except CharacterError as error:
        # what is wrong with the lines of a listing is told by read_listing
        told = [f"{METADATA}{what}" for what in (", line ", " does not exist", " is not UTF-8")]
        wrong = [line for line in str(error).splitlines() if not any(part in line for part in told)]
        yield from (Finding("error", CARD, line, place) for line in wrong)
        yield from _references(folder, reference_files(folder), cache, watch)
        return
    yield from (Finding("warning", CARD, concern, place) for concern in brand.concerns())
    for look in [*brand.references][1:]:
        if all(clip.look != look for clip in brand.clips):
            what = f'no clip has the look {look!r}, so it is not trained; give lines "look": "{look}"'
            yield Finding("warning", CARD, what, f"$EDITOR {shlex.quote(str(folder / CLIPS / METADATA))}")
    for pictures in brand.references.values():
        yield from _references(folder, pictures, cache, watch)
    if brand.voice is not None:
        try:
            cache.voice(brand.voice)
        except (MediaError, ValueError) as error:
            yield Finding("error", str(brand.voice.relative_to(folder)), str(error), place)


def reference_pictures(folder: Path) -> tuple[Picture, ...]:
    """The reference pictures that can be read. Errors: ValueError where there is none."""
    found = []
    for path in reference_files(folder):
        with suppress(MediaError):
            found.append(Picture.open(path))
    if not found:
        raise ValueError(f"{folder} has no reference pictures to know a face by; put some into references/")
    return tuple(found)


def reference_files(folder: Path) -> list[Path]:
    """The pictures in a folder's references/."""
    place = folder / "references"
    return media_files(place) if place.is_dir() else []


def _references(folder: Path, paths: Sequence[Path], cache: LatentCache, watch: Watch) -> Iterator[Finding]:
    """Pictures of one look that cannot be read, show nobody or two, or somebody else than the others."""
    known: list[tuple[Path, Picture]] = []
    for path in paths:
        name, gone = str(path.relative_to(folder)), f"rm {shlex.quote(str(path))}"
        try:
            cache.reference(path)
            picture = Picture.open(path)
        except (MediaError, ValueError) as error:
            yield Finding("error", name, str(error), reencoded(path, gone))
            continue
        if watch.two(picture):
            yield Finding("warning", name, "it shows two characters", f"{gone}  # or cut it to one")
        elif watch.network is None and not watch.share(picture.pixels[None]):
            yield Finding("warning", name, f"{NOBODY} in it", gone)
        else:
            known.append((path, picture))
    for k in watch.strangers([picture for _, picture in known]):
        path = known[k][0]
        what = "it shows somebody else than the others"
        yield Finding("warning", str(path.relative_to(folder)), what, f"rm {shlex.quote(str(path))}")
