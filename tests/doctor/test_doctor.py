"""The doctor finds what is wrong with a folder, says how to mend it, and leaves what is right alone."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from horsekit import cli
from horsekit.character import CARD, METADATA
from horsekit.dataset.folder import LatentCache
from horsekit.doctor import blur_effect, difference_hash, examine
from horsekit.doctor.faces import Watch
from horsekit.media import Clip, Picture, Sound
from horsekit.tokenizers import load_tokenizers

FENNEL = Path("data/characters/fennel")
SHIPPED = load_tokenizers("horsekit/weights/horse-tiny")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return LatentCache(tmp_path_factory.mktemp("latents"), SHIPPED, 64)


@pytest.fixture
def folder(tmp_path):
    """Two of Fennel's clips, with captions."""
    lines = (FENNEL / "clips" / METADATA).read_text().splitlines()[1:4:2]
    for line in lines:
        shutil.copy(FENNEL / "clips" / json.loads(line)["file_name"], tmp_path)
    (tmp_path / METADATA).write_text("\n".join(lines) + "\n")
    return tmp_path


def clip_of(folder: Path) -> Clip:
    return Clip.open(folder / "02.mp4")


def listed(folder: Path, name: str, prompt: str = "[Image 1] waves.") -> Path:
    with (folder / METADATA).open("a") as lines:
        lines.write(json.dumps({"file_name": name, "prompt": prompt}) + "\n")
    return folder / name


def test_a_folder_without_fault_is_shown_as_the_model_will_see_it(folder, cache):
    diagnosis = examine(folder, cache)
    assert not diagnosis.findings and not diagnosis.errors
    assert [f.file for f in diagnosis.files] == ["02.mp4", "04.mp4"]
    for examined in diagnosis.files:
        assert examined.buckets == ((9, 4, 4, 33),) and examined.dropped == 0
        assert -30 < examined.loudness < -15 and examined.faces == 1 and abs(examined.offset) < 40
        assert examined.shown.frames.shape == (33, 64, 64, 3)
    original = clip_of(folder).conformed(64, 64).frames
    error = (diagnosis.files[0].shown.frames.float() - original.float()).square().mean()
    assert 10 < error < 400  # decoded from its latents, and its own
    page = diagnosis.save(folder / "page.html").read_text()
    assert page.count("<video") == 2 and "Nothing is wrong" in page


def silent(folder):
    Clip.silent(clip_of(folder).frames).save(listed(folder, "x.mp4"))


def empty_track(folder):
    clip = clip_of(folder)
    Clip(clip.frames.flip(2), 1e-4 * clip.waveform).save(listed(folder, "x.mp4"))


def late(folder):
    clip = clip_of(folder)
    Clip(clip.frames.flip(2), clip.waveform.roll(3200, 0)).save(listed(folder, "x.mp4"))


def blurred(folder):
    frames = clip_of(folder).frames.float().movedim(-1, 1).flip(3)
    soft = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(frames, (6,) * 4, mode="replicate"), 13, 1)
    Clip(soft.movedim(1, -1).to(torch.uint8), clip_of(folder).waveform).save(listed(folder, "x.mp4"))


def faceless(folder):
    noise = torch.randint(0, 256, (64, 64, 3), generator=torch.Generator().manual_seed(0))
    Picture(noise.to(torch.uint8)).save(listed(folder, "x.png"))


def twice(folder):
    shutil.copy(folder / "02.mp4", listed(folder, "x.mp4"))


def nearly_twice(folder):
    clip = clip_of(folder)
    Clip((clip.frames.float() * 0.9 + 8).to(torch.uint8), clip.waveform).save(listed(folder, "x.mp4"))


def uncaptioned(folder):
    Clip(clip_of(folder).frames.flip(2), clip_of(folder).waveform).save(folder / "x.mp4")


def truncated(folder):
    listed(folder, "x.mp4").write_bytes((folder / "02.mp4").read_bytes()[:900])


def missing(folder):
    listed(folder, "x.mp4")


def broken_line(folder):
    with (folder / METADATA).open("a") as lines:
        lines.write("{no json\n")


def listed_twice(folder):
    listed(folder, "02.mp4")


CASES = [
    (listed_twice, "warning", "it is listed twice", "$EDITOR"),
    (silent, "warning", "has no sound, and trains the picture alone", "ffmpeg"),
    (empty_track, "warning", r"is silent \(-..* dB\), and trains the picture alone", "ffmpeg"),
    (late, "warning", "sound is 2.. ms late", "-itsoffset -0.2"),
    (blurred, "warning", "blurred", "rm"),
    (faceless, "warning", "no character is seen in 100%", "rm"),
    (twice, "warning", "same file as 02.mp4", "rm"),
    (nearly_twice, "warning", "looks the same as 02.mp4", "rm"),
    (uncaptioned, "warning", "no caption", "printf"),
    (truncated, "error", "x.mp4", "ffmpeg"),
    (missing, "error", "does not exist", "grep -vxFe"),
    (broken_line, "error", "not valid JSON", "grep -vxFe"),
]


@pytest.mark.parametrize(("harm", "severity", "what", "fix"), CASES, ids=[case[0].__name__ for case in CASES])
def test_what_is_wrong_is_found_and_its_fix_is_a_command(folder, cache, harm, severity, what, fix):
    import re

    harm(folder)
    diagnosis = examine(folder, cache)
    found = [f for f in diagnosis.findings if re.search(what, f.what)]
    assert found, diagnosis.table()
    assert found[0].severity == severity and fix in found[0].fix
    assert {f.file for f in diagnosis.files} >= {"02.mp4", "04.mp4"}  # the rest is looked at all the same
    assert found[0].what in diagnosis.table()
    page = diagnosis.html()
    assert page.count("<figure") == len(diagnosis.files) and ("<img" in page) == (harm is faceless)


def test_the_fix_of_a_missing_caption_works_as_it_stands(folder, cache):
    odd = folder / "it's $HOME é.mp4"
    Clip(clip_of(folder).frames.flip(2), clip_of(folder).waveform).save(odd)
    (folder / METADATA).write_text((folder / METADATA).read_text().rstrip("\n"))  # as editors leave it
    (found,) = (f for f in examine(folder, cache).findings if "no caption" in f.what)
    subprocess.run(["/bin/sh", "-c", found.fix], check=True)
    diagnosis = examine(folder, cache)
    assert not diagnosis.errors and odd.name in {f.file for f in diagnosis.files}


def test_captions_beside_the_clips_become_a_listing_and_the_listing_is_never_written_over(folder, cache):
    (folder / METADATA).unlink()
    (folder / "02.txt").write_text("[Image 1] waves.\n")
    diagnosis = examine(folder, cache)
    assert json.loads((folder / METADATA).read_text()) == {
        "file_name": "02.mp4",
        "prompt": "[Image 1] waves.",
    }
    assert [f.file for f in diagnosis.findings] == ["04.mp4"]
    (folder / "04.txt").write_text("Another.")
    before = (folder / METADATA).read_text()
    examine(folder, cache)
    assert (folder / METADATA).read_text() == before


def test_all_of_a_long_clip_is_shown(folder, cache):
    clip = clip_of(folder)
    long = Clip(torch.cat([clip.frames, clip.frames.flip(2), clip.frames]), clip.waveform.repeat(3, 1))
    long.save(listed(folder, "x.mp4"))
    examined = next(f for f in examine(folder, cache).files if f.file == "x.mp4")
    assert len(examined.buckets) == 2 and examined.dropped == 1 and len(examined.shown.frames) == 65 + 33
    assert len(examined.shown.waveform) == 98 * 640
    apart = (examined.shown.frames[-33:].float() - clip.conformed(64, 64).frames[:33].float()).square().mean()
    assert 10 < apart < 900


@pytest.fixture
def brand(tmp_path):
    """Fennel, with one clip to learn from and none held out."""
    folder = tmp_path / "fennel"
    shutil.copytree(
        FENNEL, folder, ignore=lambda *_: ["held_out", *(f"0{k}.mp4" for k in (1, 3, 4, 5, 6, 7, 8))]
    )
    (folder / "clips" / METADATA).write_text(
        (FENNEL / "clips" / METADATA).read_text().splitlines(keepends=True)[1]
    )
    return folder


def test_captions_of_a_character_are_converted_before_the_card_is_read(brand, cache):
    (brand / "clips" / METADATA).unlink()
    (brand / "clips" / "02.txt").write_text("[Image 1] waves.")
    assert not examine(brand, cache).findings


def test_a_broken_line_is_told_once_and_with_its_own_fix(brand, cache):
    broken_line(brand / "clips")
    (found,) = examine(brand, cache).findings
    assert found.file == METADATA and "grep" in found.fix


def test_a_look_that_the_card_does_not_know_is_an_error(brand, cache):
    line = json.loads((brand / "clips" / METADATA).read_text())
    (brand / "clips" / METADATA).write_text(json.dumps({**line, "look": "summer"}) + "\n")
    (found,) = examine(brand, cache).findings
    assert found.severity == "error" and "has the look 'summer'" in found.what


def test_a_character_without_clips_is_told_where_to_put_them(brand, cache):
    shutil.rmtree(brand / "clips")
    (found,) = examine(brand, cache).findings
    assert "nothing here can be trained on" in found.what and found.fix.startswith("mkdir")
    subprocess.run(["/bin/sh", "-c", found.fix], check=True)
    assert (brand / "clips" / METADATA).is_file()


def test_a_silent_voice_is_found_before_it_is_trained_with(brand, cache):
    Sound(torch.zeros(32_000, 1), 16_000).save(brand / "voice.wav")
    (found,) = examine(brand, cache).findings
    assert (found.severity, found.file) == ("error", "voice.wav") and "is silent" in found.what


@pytest.mark.slow
def test_a_character_is_examined_with_its_card_and_its_references(tmp_path, cache, capsys):
    brand = tmp_path / "fennel"
    shutil.copytree(FENNEL, brand)
    assert not examine(brand, cache).findings
    card = (brand / CARD).read_text()
    (brand / CARD).write_text(card.replace("expiry: 2099-12-31", "expiry: 2001-12-31"))
    stranger = torch.full((128, 128, 3), 90, dtype=torch.uint8)
    Picture(stranger).save(brand / "references" / "6.png")
    lines = (brand / "clips" / METADATA).read_text().replace("[Image 1]", "She")
    (brand / "clips" / METADATA).write_text(lines)
    said = {(f.file, f.what.split(":")[0][:30]) for f in examine(brand, cache).findings}
    assert ("references/6.png", "no character is seen in it") in said
    assert any(file == CARD for file, _ in said) and any("caption does not" in what for _, what in said)
    (brand / CARD).write_text(card.replace("name: Fennel", "nmae: Fennel"))
    with pytest.raises(SystemExit):
        cli.main(["doctor", str(brand)])
    assert "Did you mean 'name'?" in capsys.readouterr().out


def plain(colour: tuple[int, int, int], *shape: int) -> torch.Tensor:
    return torch.tensor(colour, dtype=torch.uint8).expand(*shape, 48, 48, 3).clone()


def test_of_real_footage_a_network_of_the_users_says_who_is_in_it(tmp_path, cache, capsys):
    red, green = (255, 100, 100), (100, 255, 100)
    (tmp_path / "references").mkdir()
    for k, colour in enumerate((red, red, green)):
        Picture(plain(colour)).save(tmp_path / "references" / f"{k}.png")
    Clip.silent(torch.cat([plain(red, 5), plain(green, 15)])).save(listed(tmp_path, "x.mp4"))
    Picture(plain(red)).save(listed(tmp_path, "y.png"))
    (nobody,) = [f for f in examine(tmp_path, cache).findings if "no character" in f.what]
    assert "rendered characters alone" in nobody.what and "--face" in nobody.fix

    def colour(pictures: torch.Tensor) -> torch.Tensor:
        return pictures.mean((2, 3))

    watch = Watch(colour, tuple(Picture(plain(c)) for c in (red, red)))
    assert watch.share(torch.cat([plain(red, 5), plain(green, 15)])) == 0.25
    assert watch.strangers([Picture(plain(c)) for c in (red, green, red, red)]) == [1]
    assert watch.strangers([Picture(plain(c)) for c in (red, green)]) == [1]
    assert watch.strangers([Picture(plain(c)) for c in (red, red)]) == []
    assert watch.strangers([Picture(plain(c)) for c in (red, red, green)]) == [2]
    assert watch.strangers([Picture(plain(c)) for c in (red, green, red, green, red)]) == [1, 3]
    (tmp_path / "references" / "2.png").unlink()
    diagnosis = examine(tmp_path, cache, colour)
    assert [f.faces for f in diagnosis.files] == [0.25, 1.0]
    assert [f.file for f in diagnosis.findings if "no character is seen in 75% of it" in f.what] == ["x.mp4"]
    shutil.rmtree(tmp_path / "references")
    with pytest.raises(ValueError, match="no reference pictures to know a face by"):
        examine(tmp_path, cache, colour)
    assert cli.main(["doctor", str(tmp_path), "--face", str(tmp_path / "none.pt2")]) == 2
    assert "give a file written by torch.export.save" in capsys.readouterr().err


def test_the_command_exits_with_an_error_where_there_is_one(folder, capsys):
    assert cli.main(["doctor", str(folder), "--report", str(folder / "page.html")]) == 0
    assert "2 files can be used; 0 errors" in capsys.readouterr().out and (folder / "page.html").is_file()
    truncated(folder)
    with pytest.raises(SystemExit) as left:
        cli.main(["doctor", str(folder)])
    assert left.value.code == 1
    assert cli.main(["doctor", str(folder / "nowhere")]) == 2
    empty = folder / "empty"
    empty.mkdir()
    with pytest.raises(SystemExit):
        cli.main(["doctor", str(empty)])
    assert "nothing here can be trained on" in capsys.readouterr().out


def test_blur_grows_with_blurring():
    source = torch.Generator().manual_seed(0)
    sharp = torch.randint(0, 256, (2, 64, 64, 3), generator=source).float()
    soft = [sharp]
    for _ in range(3):
        soft.append(torch.nn.functional.avg_pool2d(soft[-1].movedim(-1, 1), 3, 1, 1).movedim(1, -1))
    effects = [blur_effect(frames) for frames in soft]
    assert effects == sorted(effects) and effects[0] < 0.2 < effects[-1] <= 1


def test_the_hash_of_a_picture_is_of_what_it_shows_not_of_its_size_or_brightness():
    source = torch.Generator().manual_seed(0)
    small = torch.nn.functional.interpolate(torch.rand(1, 3, 8, 9, generator=source), (64, 72))
    picture = 200 * small[0].movedim(0, -1)
    larger = torch.nn.functional.interpolate(small, (128, 144))[0].movedim(0, -1) * 200
    assert difference_hash(picture) == difference_hash(larger) == difference_hash(0.5 * picture + 20)
    assert (difference_hash(picture) ^ difference_hash(picture.flip(1))).bit_count() > 20
