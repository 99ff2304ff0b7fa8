"""The panel tells an adapter that keeps to its character from one that puts it everywhere."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from horsekit.character import BrandCharacter
from horsekit.media import Clip, Picture
from horsekit.metrics import cast
from horsekit.metrics.leakage import panel
from horsekit.metrics.output import BAD
from horsekit.stage import portrait

FENNEL, RUSTY = (BrandCharacter.load(Path("data/characters") / name) for name in ("fennel", "rusty"))


def held(picture: Picture) -> Clip:
    """A clip that shows one picture, with noise for sound."""
    frames = picture.fitted(64, 64).pixels.expand(9, -1, -1, -1)
    return Clip(frames.clone(), 0.1 * torch.randn(9 * 640, 1, generator=torch.Generator().manual_seed(0)))


class Show:
    """A model that shows the reference it is given, or a stranger; with the adapter, always Fennel."""

    def __init__(self) -> None:
        self.adapter = None

    def adapt(self, *adapters):
        self.adapter = adapters[0] if adapters else None

    def generate_many(self, requests, steps=None):
        stranger = Picture(portrait(cast()[77], 5, 64))
        everywhere = FENNEL.pictures()[0]
        return [
            held(everywhere if self.adapter else r.references[0][0] if r.references else stranger)
            for r in requests
        ]


@pytest.fixture(scope="module")
def found():
    model = Show()
    result = panel(model, "fennel.safetensors", FENNEL, clips=6)
    assert model.adapter == "fennel.safetensors"
    return result


def test_a_character_that_is_put_everywhere_is_found_out(found):
    rows = {row.key: tuple(interval.value for interval in row.intervals) for row in found.rows}
    base, adapted, _ = rows["own"]
    assert abs(base - adapted) < 0.1  # it shows Fennel either way
    assert rows["toward"][0] < 0.25 and rows["toward"][1] > 0.75
    assert rows["clothes"][0] < 0.35 and rows["clothes"][1] > 0.65
    assert rows["appears"][:2] == (0.0, 1.0)
    assert rows["others"][1] > rows["others"][0] + 0.3 and rows["nameless"][1] < rows["nameless"][0] - 0.3
    assert rows["copied"][0] == pytest.approx(1, abs=0.01)


class Greying(Show):
    """With the adapter, it shows nobody."""

    def generate_many(self, requests, steps=None):
        grey = held(Picture(torch.full((64, 64, 3), 128, dtype=torch.uint8)))
        return [grey for _ in requests] if self.adapter else super().generate_many(requests, steps)


def test_an_adapter_that_ruins_every_picture_is_in_nothing_better():
    found = panel(Greying(), "grey.safetensors", FENNEL, clips=6)
    better = {row.key: row.better for row in found.rows}
    assert not [key for key, value in better.items() if value and key not in ("copied",)]
    assert better["own"] is False and better["others"] is False and better["width"] is False


def test_the_table_marks_what_changed_and_the_file_holds_every_clip(found, tmp_path):
    table = found.table()
    toward = next(line for line in table.splitlines() if line.startswith("others: way towards"))
    assert toward.split("  ")[-2].endswith("*") or " *" in toward
    data = json.loads(found.save(tmp_path / "panel.json").read_text())
    assert "not measured" not in table and data["unknown"] == []
    assert data["character"] == "Fennel" and all(len(row["base"]) == 6 for row in data["rows"])


def test_a_notebook_sees_which_changes_are_for_the_better(found):
    better = {row.key: row.better for row in found.rows}
    assert better["others"] is False and better["appears"] is False and better["nameless"] is False
    assert better["copied"] is None
    shown = found._repr_html_()
    assert shown.count("<tr>") == len(found.rows) + 1
    assert shown.count(BAD) == sum(value is False for value in better.values())
    turned = [replace(row, base=row.adapted, adapted=row.base) for row in found.rows]
    assert {row.key: row.better for row in turned} == {
        key: None if value is None else not value for key, value in better.items()
    }


def test_two_characters_of_one_adapter_are_told_apart():
    for brand, other, (base, adapted) in ((FENNEL, RUSTY, (0, 0)), (RUSTY, FENNEL, (0, 1))):
        rows = panel(Show(), "both.safetensors", brand, clips=2, beside=[other]).rows
        (mixed,) = (row for row in rows if row.key == "mixed")
        assert mixed.intervals[0].value == pytest.approx(base, abs=0.3)
        assert mixed.intervals[1].value == pytest.approx(adapted, abs=0.3)


class Film(Show):
    """A model that shows the footage that an adapter learns from."""

    def generate_many(self, requests, steps=None):
        return [RUSTY.clips[k % len(RUSTY.clips)].open() for k in range(len(requests))]


def test_footage_is_nearer_to_the_footage_that_was_kept_back_than_to_pictures():
    rows = {row.key: row for row in panel(Film(), "x", RUSTY, clips=4).rows}
    own, pictured = (rows[key].intervals[1].value for key in ("own", "pictured"))
    assert own < 0.35 and pictured > own + 0.05


def test_a_character_without_clips_is_known_by_its_pictures():
    asked = ("[Image 1] smiles.", "[Image 1] and [Image 2] smile.")
    bare = replace(FENNEL, held_out=(), card=FENNEL.card.model_copy(update={"regression_prompts": asked}))
    found = panel(Show(), "x", bare, clips=2)
    rows = {row.key: row for row in found.rows}
    assert "not measured" in found.table() and found.unknown == ("the same by its pictures, σ",)
    assert "pictured" not in rows and rows["own"].intervals[0].value < 0.5


def test_one_clip_says_nothing_of_spread():
    with pytest.raises(ValueError, match="clips is 1"):
        panel(Show(), "x", FENNEL, clips=1)
