"""What is wrong with the lines of a metadata.jsonl is mended by the commands that the doctor prints, in any order."""

import json
import subprocess
from itertools import permutations

import pytest

from horsekit.character import METADATA, read_clips
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


def test_fixes_work_on_lines_as_windows_writes_them_too(folder):
    content = (folder / METADATA).read_bytes()
    (folder / METADATA).write_bytes(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
    entries, findings = read_listing(folder, of_character=True)
    assert len(entries) == 4 and len(findings) == 5
    for found in findings:
        run(found.fix)
    mended, left = read_listing(folder, of_character=True)
    assert len(mended) == 4 and not left
    assert [entry.prompts for entry in mended] == [entry.prompts for entry in read_clips(folder)]


def test_a_line_that_is_no_json_or_mentions_what_cannot_be_does_not_hide_the_others(folder):
    lines = (folder / METADATA).read_text(encoding="utf-8")
    odd = json.dumps({"file_name": "./c.mp4", "prompt": "[Image 12] waves."})
    (folder / METADATA).write_text(f'{{"file_name": "d\\a.mp4"}}\n{odd}\n{lines}', encoding="utf-8")
    entries, findings = read_listing(folder, of_character=True)
    assert len(entries) == 4
    (found,) = (f for f in findings if "numbered 1 to 9" in f.what)
    assert (found.severity, found.file) == ("error", "c.mp4") and "$EDITOR +2" in found.fix
    assert "sed" in removed(folder / "c.mp4", folder) and "sed" in removed(folder / "b.mp4", folder)


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
    assert read_listing(folder, of_character=True) == ([], []), (
        "nothing that would keep it from being converted"
    )
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
