"""Files at the edge of the house: which may be read, and how one is written whole or not at all."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class MediaError(ValueError):
    """A picture, sound or clip that cannot be used; the message names it, what is wrong and the remedy."""


def readable(path: str | os.PathLike[str], kind: str) -> Path:
    """The path of an existing file with something in it; MediaError otherwise.

    `kind` is the word for what was expected there: "picture", "sound" or "clip".
    """
    path = Path(path).expanduser()
    try:
        exists, size = path.exists(), path.stat().st_size if path.is_file() else None
    except (OSError, ValueError) as error:
        raise MediaError(
            f"{str(path)!r} is not a usable path: {error}. Give the path of a {kind}."
        ) from error
    if not exists:
        raise MediaError(f"{path} does not exist. Check the path of the {kind}.")
    if path.is_dir():
        raise MediaError(f"{path} is a folder. Give the path of one {kind} inside it.")
    if size is None:
        raise MediaError(f"{path} is a device or a pipe. Give the path of an ordinary {kind} file.")
    if size == 0:
        raise MediaError(f"{path} is empty (0 bytes). Copy or export the {kind} again.")
    return path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and is removed otherwise.

    The temporary name keeps the suffix. Missing parent folders are made.
    """
    path = Path(path).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its place when the block ends well, and is removed otherwise.

    Missing parent folders are made. OSError where `path` is a folder with something in it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".draft-", dir=path.parent))
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
