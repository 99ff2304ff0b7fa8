"""What is wrong with the lines of a metadata.jsonl is mended by the commands that the doctor prints, in any order."""

import json
import subprocess
from itertools import permutations

import pytest

from horsekit.character import METADATA
from horsekit.doctor.listing import convert_captions, read_listing, removed
from horsekit.prompt import mentions

ODD = "it's $HOME [a.b]* & é.mp4"
ROWS = (
    {"file_name": "a.mp4", "prompt": '[Image 1] says: "yes & no/never".'},
    {"prompt": "She waves.", "file_name": ODD},
    {
        "file_name": "b.mp4",
        "prompt": ["[Image 1] waves.", "The same hand, said again & waved", 'She says: "it\'s a/b" \\ é'],
    },
    {"file_name": "gone.mp4", "prompt": "[Image 1] waves."},
    {"file_name": "c.mp4", "prompt": ["The same hand is held up", "The same hand is held down"]},
)


@pytest.fixture
def folder(tmp_path):
    for name in ("a.mp4", ODD, "b.mp4", "c.mp4"):
        (tmp_path / name).touch()
    lines = [json.dumps(row, ensure_ascii=k % 2 == 0) for k, row in enumerate(ROWS)]
    lines[3:3] = ["", "{'no': json's $PATH}"]
    (tmp_path / METADATA).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def run(command: str) -> None:
    subprocess.run(["/bin/sh", "-c", command], check=True)


@pytest.mark.parametrize("order", [*permutations(range(5))][::17])
def test_every_fix_works_as_it_stands_in_any_order(folder, order):
    entries, findings = read_listing(folder, of_character=True)
    assert [entry.path.name for entry in entries] == ["a.mp4", ODD, "b.mp4", "c.mp4"]
    assert sorted(f.severity for f in findings) == ["error"] * 2 + ["warning"] * 3
    for k in order:
        run(findings[k].fix)
    mended, left = read_listing(folder, of_character=True)
    assert not left and [entry.path.name for entry in mended] == ["a.mp4", ODD, "b.mp4", "c.mp4"]
    assert all(mentions(prompt) for entry in mended for prompt in entry.prompts)
    assert mended[0].prompts == entries[0].prompts
    assert mended[2].prompts == (
        entries[2].prompts[0],
        *(f"[Image 1]: {prompt}" for prompt in entries[2].prompts[1:]),
    )


def test_a_file_is_removed_with_its_line_and_no_other(folder):
    for name in (ODD, "c.mp4"):
        run(removed(folder / name, folder))
    entries, _ = read_listing(folder, of_character=False)
    assert [entry.path.name for entry in entries] == ["a.mp4", "b.mp4"]
    assert not (folder / ODD).exists() and (folder / "b.mp4").exists()


def test_what_is_not_utf_8_is_named_with_a_fix_that_works(folder):
    (folder / METADATA).write_bytes((folder / METADATA).read_bytes().replace("é".encode(), b"\xe9"))
    entries, (found,) = read_listing(folder, of_character=True)
    assert not entries and found.severity == "error" and "not UTF-8" in found.what
    run(found.fix)
    assert [e.path.name for e in read_listing(folder, of_character=True)[0]][1] == ODD


def test_captions_that_are_not_utf_8_stop_the_conversion_and_are_named(folder):
    (folder / METADATA).unlink()
    (folder / "a.txt").write_bytes("Sie grüßt.".encode("latin-1"))
    (folder / "b.txt").write_text("Sie winkt.", encoding="utf-8")
    (found,) = convert_captions(folder)
    assert found.file == "a.txt" and not (folder / METADATA).exists()
    run(found.fix)
    assert convert_captions(folder) == []
    assert [e.prompts for e in read_listing(folder, of_character=False)[0]] == [
        ("Sie grüßt.",),
        ("Sie winkt.",),
    ]


def test_a_character_needs_a_listing_and_another_folder_none(folder):
    (folder / METADATA).unlink()
    _, (found,) = read_listing(folder, of_character=True)
    assert found.severity == "error" and "cannot be loaded" in found.what
    assert {f.severity for f in read_listing(folder, of_character=False)[1]} == {"warning"}
