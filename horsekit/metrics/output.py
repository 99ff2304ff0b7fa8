"""Figures as people and as programs read them: aligned text, and JSON."""

import json
from collections.abc import Container, Sequence
from pathlib import Path

from horsekit.media import replacing


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


def save_json(path: Path | str, values: dict) -> Path:
    """Write plain values, whole or not at all; returns the path. Errors: ValueError for NaN."""
    with replacing(path) as draft:
        draft.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return Path(path)
