"""The figures of several arms side by side: as a text table, as JSON, and as one HTML page."""

import base64
import html
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from horsekit.media import Clip, replacing
from horsekit.metrics.identity import parameter_names
from horsekit.metrics.measure import FIGURES, Arm, Figure, mouth_trace
from horsekit.metrics.output import aligned, framed, save_json
from horsekit.metrics.reader import trained
from horsekit.metrics.statistics import Interval
from horsekit.metrics.sync import HOP, densified, envelope
from horsekit.stage import MOVES

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 84em; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0; display: block; overflow-x: auto }
td, th { padding: .25em .8em; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap }
td:first-child, th:first-child, td:last-child, th:last-child { text-align: left }
small { color: #777 }
figure { display: inline-block; margin: 0 1em 1em 0; vertical-align: top }
figure * { display: block }
figure video { width: 13em; height: auto; image-rendering: pixelated }
"""
_NOTE = """Brackets are 95% intervals over clips. Errors and margins are in standard deviations of the
population of characters; 1.41 is the error of an unrelated one."""


@dataclass(frozen=True, eq=False)
class Report:
    """Arms (what was measured, by name), clips to show, and facts about how it was made."""

    title: str
    arms: Mapping[str, Arm]
    clips: Mapping[str, Clip] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)

    def table(self) -> str:
        """Aligned text: a line for each figure, a column for each arm, 95% intervals, and the reach."""
        rows = [["", *self.arms, "reach"], *self._rows()]
        lines = aligned(rows, right=range(1, len(rows[0]) - 1))
        return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])

    def data(self) -> dict:
        """Everything in plain values: figures with their intervals, and every clip of every arm."""
        return {
            "title": self.title,
            "facts": dict(self.facts),
            "parameters": parameter_names(),
            "arms": {
                name: {
                    "figures": {k: i and asdict(i) for k, i in arm.figures().items()},
                    "unusable": arm.reasons(),
                    "camera_moves": arm.confusion(),
                    "clips": [m.row() for m in arm.clips],
                    "glosses": list(arm.glosses),
                    "pairs": [asdict(pair) for pair in arm.pairs],
                    "duets": [asdict(duet) for duet in arm.duets],
                    "contrasts": [asdict(contrast) for contrast in arm.contrasts],
                    "delivered": [asdict(voice) for voice in arm.delivered],
                    "speakers": list(arm.speakers),
                }
                for name, arm in self.arms.items()
            },
        }

    def save(self, folder: str | Path) -> Path:
        """Write report.json and report.html to a folder; returns the latter."""
        folder = Path(folder)
        self.save_json(folder / "report.json")
        with replacing(folder / "report.html") as temporary:
            temporary.write_text(self.html(), encoding="utf-8")
        return folder / "report.html"

    def save_json(self, path: str | Path) -> None:
        """Write `data` alone."""
        save_json(path, self.data())

    def html(self) -> str:
        """A page that needs nothing else: the table, the clips, and each one's mouth against its sound."""
        escape = html.escape
        head = "".join(f"<th>{escape(cell)}</th>" for cell in ("", *self.arms, "reach"))
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in self._rows()
        )
        shown = "".join(_figure(name, clip) for name, clip in self.clips.items())
        moves = "".join(_moves(name, arm.confusion()) for name, arm in self.arms.items())
        facts = "".join(
            f"<tr><td>{escape(k)}</td><td>{escape(str(v))}</td></tr>" for k, v in self.facts.items()
        )
        unusable = "".join(
            f"<li>{escape(name)}: {count} × {escape(reason)}</li>"
            for name, arm in self.arms.items()
            for reason, count in arm.reasons().items()
        )
        title = escape(self.title)
        parts = [
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>',
            f"<style>{_STYLE}</style><h1>{title}</h1>",
            f"<table><tr>{head}</tr>{body}</table><p><small>{_NOTE}</small></p>{shown}",
            f"<h2>Camera moves, asked and made</h2>{moves}" if moves else "",
            f"<h2>Unusable clips</h2><ul>{unusable}</ul>" if unusable else "",
            f"<h2>How it was made</h2><table>{facts}</table>" if facts else "",
            "</html>",
        ]
        return "".join(parts)

    def _repr_html_(self) -> str:
        return framed(self.html())

    def _rows(self) -> list[list[str]]:
        columns = [arm.figures() for arm in self.arms.values()]
        rows = []
        for figure in FIGURES:
            cells = [_written(figure, column[figure.key]) for column in columns]
            if any(cells):
                unit = f" [{figure.unit}]" if figure.unit else ""
                rows.append([figure.words + unit, *(cell or "–" for cell in cells), figure.reach])
        return rows


def _written(figure: Figure, interval: Interval | None) -> str:
    if interval is None:
        return ""
    value, low, high = (figure.form.format(x) for x in (interval.value, interval.low, interval.high))
    return f"{value} [{low}, {high}]"


def _figure(name: str, clip: Clip) -> str:
    picture = base64.b64encode(_mouth_and_sound(clip)).decode()
    name = html.escape(name)
    plot = f'<img alt="mouth and sound of {name}" src="data:image/svg+xml;base64,{picture}">'
    return f"<figure>{clip._repr_html_()}<figcaption>{name}</figcaption>{plot}</figure>"


def _moves(name: str, confusion: Mapping[str, Mapping[str, int]]) -> str:
    """A figure: of each move that was asked for, the shares of those that were read."""
    if not confusion:
        return ""
    from matplotlib.figure import Figure as Canvas

    made = [*MOVES, *(["unusable"] if any("unusable" in row for row in confusion.values()) else [])]
    asked = [move for move in MOVES if move in confusion]
    counts = torch.tensor([[confusion[a].get(m, 0) for m in made] for a in asked], dtype=torch.float64)
    canvas = Canvas(figsize=(4.2, 4.2), layout="constrained")
    axes = canvas.add_subplot()
    axes.imshow((counts / counts.sum(1, keepdim=True)).numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(made)), made, rotation=90, fontsize=7)
    axes.set_yticks(range(len(asked)), asked, fontsize=7)
    axes.set(title=name, xlabel="made", ylabel="asked")
    picture = base64.b64encode(_svg(canvas)).decode()
    alt = f"camera moves of {html.escape(name)}"
    return f'<figure><img alt="{alt}" src="data:image/svg+xml;base64,{picture}"></figure>'


def _svg(canvas) -> bytes:
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.BytesIO()
    FigureCanvasSVG(canvas).print_svg(buffer)
    return buffer.getvalue()


def _mouth_and_sound(clip: Clip) -> bytes:
    """An SVG: how open the mouth is read to be, and how loud the sound is, over the clip."""
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(3.6, 1.5), layout="constrained")
    axes = canvas.add_subplot()
    loudness = envelope(clip.waveform, clip.sample_rate)
    axes.plot(torch.arange(len(loudness)) * HOP, loudness / loudness.max().clamp(min=1e-6), label="sound")
    mouth = mouth_trace(trained().reader.read(clip.frames))
    if not mouth.reason and len(mouth.aperture) > 1:
        trace = densified(mouth.aperture, float(clip.fps)).clamp(min=0)
        axes.plot(torch.arange(len(trace)) * HOP, trace / trace.max().clamp(min=1e-6), label="mouth")
    axes.set(xlabel="seconds", yticks=[], ylim=(0, 1.15))
    axes.legend(fontsize=7, ncols=2, frameon=False, loc="upper right")
    return _svg(canvas)
