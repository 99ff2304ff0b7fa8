"""What the doctor has to say: every file as the model will see it, and every finding with its fix."""

import base64
import html
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from horsekit.media import Clip, Picture, replacing
from horsekit.metrics.output import aligned, framed

NOBODY = "no character is seen"
HEAD = ("file", "latents", "dropped", "loudness", "silence", "offset", "blur", "faces")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 84em; margin: 2em auto; padding: 0 1em; color: #222 }
li { margin: .4em 0 } code { background: #f4f1ee; padding: .1em .4em; white-space: pre-wrap }
figure { display: inline-block; width: 16em; margin: 0 1em 1.5em 0; vertical-align: top }
figure video, figure img { width: 16em; height: auto; image-rendering: pixelated }
small { color: #777 }
"""


@dataclass(frozen=True)
class Finding:
    """Something wrong: where, what, and the command (or the edit) that mends it."""

    severity: Literal["error", "warning"]
    file: str
    what: str
    fix: str


@dataclass(frozen=True, eq=False)
class Examined:
    """A file as the model will see it.

    buckets: latents (T, h, w) and audio tokens of each piece; dropped: frames that fill no latent or piece;
    loudness in dB of full scale, silence the share of the time below QUIET, offset in ms (positive: sound early),
    all None where there is no sound or nothing to time; blur: 0 sharp to 1; faces: share of frames with a face;
    shown: decoded back from the latents, piece after piece.
    """

    file: str
    prompt: str
    buckets: tuple[tuple[int, int, int, int], ...]
    dropped: int
    blur: float
    faces: float
    shown: Clip | Picture
    loudness: float | None = None
    silence: float | None = None
    offset: float | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """Its measures in words, in the order of the table."""
        told = lambda value, form: "" if value is None else form.format(value)  # noqa: E731
        return (
            self.file,
            ", ".join(f"{t}×{h}×{w}" + (f" + {n}" if n else "") for t, h, w, n in self.buckets),
            f"{self.dropped} frames" if self.dropped else "",
            told(self.loudness, "{:.0f} dB"),
            told(self.silence, "{:.0%}"),
            told(self.offset, "{:+.0f} ms"),
            f"{self.blur:.2f}",
            f"{self.faces:.0%}",
        )


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """All files of a folder that can be used, and all that was found."""

    folder: Path
    files: tuple[Examined, ...]
    findings: tuple[Finding, ...] = field(default=())

    @property
    def errors(self) -> int:
        """How many findings keep something from being used."""
        return sum(finding.severity == "error" for finding in self.findings)

    def table(self) -> str:
        """Every file as the model will see it, then every finding with its fix, as text."""
        rows = [HEAD, *(examined.cells for examined in self.files)]
        lines = aligned(rows)
        for finding in sorted(self.findings, key=lambda f: (f.severity, f.file)):
            lines += ["", f"{finding.severity}: {finding.file}: {finding.what}", f"    {finding.fix}"]
        count = len(self.findings) - self.errors
        return "\n".join(
            [*lines, "", f"{len(self.files)} files can be used; {self.errors} errors, {count} warnings"]
        )

    def html(self) -> str:
        """The same as a page that needs nothing else, with every file as decoded from its latents."""
        escape = html.escape
        found = "".join(
            f"<li><b>{f.severity}</b> {escape(f.file)}: {escape(f.what)}<br><code>{escape(f.fix)}</code></li>"
            for f in sorted(self.findings, key=lambda f: (f.severity, f.file))
        )
        shown = "".join(
            f"<figure>{_shown(examined.shown)}<figcaption>{escape(_labelled(examined.cells))}"
            f"<br><small>{escape(examined.prompt)}</small></figcaption></figure>"
            for examined in self.files
        )
        title = escape(f"{self.folder}, as the model will see it")
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
            f"<h1>{title}</h1><ul>{found or '<li>Nothing is wrong.</li>'}</ul>{shown}</html>"
        )

    def save(self, path: Path | str) -> Path:
        """Write the page; returns its path."""
        with replacing(Path(path)) as draft:
            draft.write_text(self.html(), encoding="utf-8")
        return Path(path)

    def _repr_html_(self) -> str:
        return framed(self.html())


def reencoded(path: Path, otherwise: str) -> str:
    """A command that writes a file anew, for one that cannot be read; otherwise: another that leaves it out."""
    source, fixed = (shlex.quote(str(p)) for p in (path, path.with_stem(path.stem + "-fixed")))
    return f"ffmpeg -i {source} {fixed} && mv {fixed} {source}  # or {otherwise}"


def _labelled(cells: tuple[str, ...]) -> str:
    """The file's name, then every measure with its label."""
    return " · ".join(
        [cells[0], *(f"{label} {cell}" for label, cell in zip(HEAD[1:], cells[1:], strict=True) if cell)]
    )


def _shown(media: Clip | Picture) -> str:
    if isinstance(media, Clip):
        return media._repr_html_()
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(media._repr_png_()).decode()}">'
