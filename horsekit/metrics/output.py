"""Figures as people and as programs read them: aligned text, what a notebook shows, and JSON."""

import html
import json
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from horsekit.media import replacing

GOOD, BAD = "#dff0dc", "#f6dcd6"  # behind a cell


def aligned(rows: Sequence[Sequence[str]], right: Container[int] = ()) -> list[str]:
    """A line for each row, its cells under one another, those of the columns `right` at the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if k in right else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def tabled(
    rows: Sequence[Sequence[str]], note: str, tints: Mapping[tuple[int, int], str] | None = None
) -> str:
    """The same cells as an HTML table, the first row its head. tints: colours behind cells, by (row, column)."""
    lines = []
    for number, row in enumerate(rows):
        tag, cells = "td" if number else "th", []
        for column, cell in enumerate(row):
            tint = (tints or {}).get((number, column), "none")
            cells.append(f'<{tag} style="text-align:left;background:{tint}">{html.escape(cell)}</{tag}>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>{''.join(lines)}</table><p><small>{html.escape(note)}</small></p>"


def framed(page: str) -> str:
    """A whole page as a part of a notebook, with styles of its own."""
    return f'<iframe style="width:100%;height:40em;border:0" srcdoc="{html.escape(page)}"></iframe>'


def save_json(path: Path | str, values: dict) -> Path:
    """Write plain values, whole or not at all; returns the path. Errors: ValueError for NaN."""
    with replacing(path) as draft:
        draft.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return Path(path)
