"""The brand character: a folder that is read whole, or refused with the file, the key and the remedy."""

import datetime
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from horsekit import stage
from horsekit.character import BrandCharacter, CharacterError
from horsekit.media import Clip, Sound
from horsekit.prompt import PromptError

TODAY = datetime.date(2026, 6, 1)


def card() -> dict:
    return {
        "name": "Moss",
        "summary": "A quiet gardener.",
        "looks": {
            "everyday": {
                "description": "a green coat",
                "references": ["references/1.png", "references/2.png"],
            },
            "winter": {"description": "a red scarf", "references": ["references/2.png"]},
        },
        "voice": {"language": "en-us", "variant": "f2", "pitch": 60, "rate": 150},
        "do": ["smile"],
        "dont": ["shout"],
        "rights": {
            "owner": "Studio",
            "licence": "CC0-1.0",
            "consent": "by its maker",
            "expiry": "2030-01-01",
        },
        "regression_prompts": ["[Image 1] waves."],
        "stage": {"head_width": 0.25, "head_height": 1.0},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "references").mkdir()
    for number in (1, 2):
        Image.new("RGB", (8, 8), (10 * number, 0, 0)).save(tmp_path / "references" / f"{number}.png")
    for part, count in (("clips", 2), ("held_out", 1)):
        (tmp_path / part).mkdir()
        lines = []
        for number in range(count):
            (tmp_path / part / f"{number}.mp4").write_bytes(b"clip" + bytes([number]))
            lines.append(f'{{"file_name": "{number}.mp4", "prompt": "wave {number}", "seed": {number}}}\n')
        (tmp_path / part / "metadata.jsonl").write_text("".join(lines))
    write(tmp_path, card())
    return tmp_path


def write(folder: Path, content: dict) -> None:
    (folder / "card.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def test_a_folder_is_read(folder):
    moss = BrandCharacter.load(folder)
    assert moss.name == "Moss" and moss.card.voice.variant == "f2"
    assert [path.name for path in moss.references["everyday"]] == ["1.png", "2.png"]
    assert [picture.pixels[0, 0, 0].item() for picture in moss.pictures()] == [10, 20]
    assert [picture.pixels[0, 0, 0].item() for picture in moss.pictures("winter")] == [20]
    assert [(clip.path.name, clip.prompts, clip.extra["seed"]) for clip in moss.clips] == [
        ("0.mp4", ("wave 0",), 0),
        ("1.mp4", ("wave 1",), 1),
    ]
    assert len(moss.held_out) == 1
    assert torch.equal(moss.parameters, torch.tensor([0.25, 1.0]))


def test_a_designer_may_drop_pictures_in_and_leave_the_rest(folder):
    content = card()
    content["looks"] = {"everyday": {"description": "a green coat"}}
    for key in ("do", "dont", "regression_prompts", "stage"):
        del content[key]
    write(folder, content)
    shutil.rmtree(folder / "clips")
    shutil.rmtree(folder / "held_out")
    Image.new("RGB", (8, 8)).save(folder / "references" / "0.JPG", "JPEG")
    (folder / "references" / "notes.txt").write_text("no picture")
    moss = BrandCharacter.load(folder)
    assert [path.name for path in moss.references["everyday"]] == ["0.JPG", "1.png", "2.png"]
    assert moss.clips == () and moss.parameters is None


def test_a_clip_may_have_several_wordings(folder):
    line = '{"file_name": "0.mp4", "prompt": ["one", "another"]}\n'
    (folder / "clips/metadata.jsonl").write_text(line)
    assert BrandCharacter.load(folder).clips[0].prompts == ("one", "another")


def test_it_is_asked_for_by_its_held_out_clips_or_by_its_card(folder):
    shutil.copyfile(folder / "held_out/0.mp4", folder / "held_out/1.mp4")
    lines = ('{"file_name": "0.mp4", "prompt": ["one", "again"]}', '{"file_name": "1.mp4", "prompt": "two"}')
    (folder / "held_out/metadata.jsonl").write_text("\n".join(lines))
    assert BrandCharacter.load(folder).prompts_for(1.28) == ("one", "two", "again")
    winter = lines[0].replace('"prompt"', '"look": "winter", "prompt"')
    (folder / "held_out/metadata.jsonl").write_text("\n".join((winter, lines[1])))
    moss = BrandCharacter.load(folder)
    assert moss.prompts_for(1.28) == ("two",) and [clip.look for clip in moss.held_out] == ["winter", None]
    assert [clip.path.name for clip in moss.kept_back] == ["1.mp4"], "it is measured in its first look"
    shutil.rmtree(folder / "held_out")
    content = card()
    content["regression_prompts"].append("[Image 1] and [Image 2] wave.")
    write(folder, content)
    assert BrandCharacter.load(folder).prompts_for(1.28) == ("[Image 1] waves.",)


def test_what_a_held_out_clip_says_later_is_not_asked_of_a_shorter_one(folder):
    told = ("It waves.", 'It says: "Hello" (0.2-0.6 s).', 'It says: "Far too late" (1.5-2.3 s).')
    shots = "[00:00-00:01] It waves. [00:01-00:03] It sits."
    line = json.dumps({"file_name": "0.mp4", "prompt": [" ".join(told), shots, "again"]})
    (folder / "held_out/metadata.jsonl").write_text(line)
    moss = BrandCharacter.load(folder)
    assert moss.prompts_for(2.56)[0] == " ".join(told)
    first, second, again = moss.prompts_for(0.96)
    assert "It waves." in first and '"Hello" (0.20-0.60 s)' in first and "late" not in first
    assert (second, again) == ("It waves.", "again")
    line = json.dumps(
        {"file_name": "0.mp4", "prompt": ['It says: "Far too late" (1.5-2.3 s).', 'It is "(" (3-2 s)']}
    )
    (folder / "held_out/metadata.jsonl").write_text(line.replace("(3-2 s)", "(2-3 s)"))
    assert BrandCharacter.load(folder).prompts_for(0.96) == ("[Image 1] waves.",), "the card's"
    (folder / "held_out/metadata.jsonl").write_text(line)
    with pytest.raises(PromptError, match=r"metadata\.jsonl, 0\.mp4: .*ends? after it starts"):
        BrandCharacter.load(folder).prompts_for(0.96)


def test_a_listing_that_is_not_utf_8_is_named(folder):
    (folder / "clips/metadata.jsonl").write_bytes(
        '{"file_name": "0.mp4", "prompt": "grün"}'.encode("latin-1")
    )
    with pytest.raises(CharacterError, match="not UTF-8"):
        BrandCharacter.load(folder)


def test_the_digest_follows_the_content(folder, tmp_path_factory):
    first = BrandCharacter.load(folder).digest
    assert len(first) == 64
    copy = tmp_path_factory.mktemp("elsewhere") / "moss"
    shutil.copytree(folder, copy)
    assert BrandCharacter.load(copy).digest == first
    (copy / "unrelated.txt").write_text("not part of it")
    assert BrandCharacter.load(copy).digest == first
    seen = {first}
    for name in ("references/1.png", "clips/0.mp4", "held_out/0.mp4"):
        with (copy / name).open("ab") as file:
            file.write(b"more")
        seen.add(BrandCharacter.load(copy).digest)
    listing = copy / "clips/metadata.jsonl"
    listing.write_text(listing.read_text().replace("wave", "bow"))
    seen.add(BrandCharacter.load(copy).digest)
    write(copy, {**card(), "summary": "A loud gardener."})
    seen.add(BrandCharacter.load(copy).digest)
    assert len(seen) == 6


def test_rights_run_out_after_their_last_day(folder):
    moss = BrandCharacter.load(folder)
    last = datetime.date(2030, 1, 1)
    assert moss.concerns(last) == [] and moss.concerns(last + datetime.timedelta(1))
    assert moss.concerns(TODAY) == []
    assert "rights ended on 2030-01-01; renew" in moss.concerns(datetime.date(2031, 1, 1))[0]


def test_missing_consent_is_a_concern_and_not_an_error(folder):
    content = card()
    del content["rights"]["consent"], content["rights"]["expiry"]
    write(folder, content)
    moss = BrandCharacter.load(folder)
    assert not any("expiry" in concern for concern in moss.concerns(datetime.date(9999, 1, 1)))
    assert ["rights.consent" in concern for concern in moss.concerns(TODAY)] == [True]


def edited(path: str, value: object) -> dict:
    """The card with one key set, or removed where value is None."""
    content = node = card()
    *parents, last = path.split("/")
    for step in parents:
        node = node[step]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("name", None, ["name is missing", "Add it"]),
        ("name", "", ["name is ''", "Correct it"]),
        ("name", 7, ["name is 7", "Correct it"]),
        ("rights/owner", None, ["rights.owner is missing"]),
        ("rights/license", "MIT", ["rights.license is unknown", "Did you mean 'licence'?"]),
        ("colour", "green", ["colour is unknown", "Known are name, summary"]),
        ("looks/winter/picture", "a.png", ["looks.winter.picture is unknown", "Known are description"]),
        ("voice/variantt", "f1", ["voice.variantt is unknown", "Did you mean 'variant'?"]),
        ("voice/pitch", 400, ["voice.pitch is 400", "less than or equal to 99"]),
        ("rights/expiry", "soon", ["rights.expiry is 'soon'"]),
        ("looks", {}, ["looks is {}"]),
        ("stage/head_width", 1.5, ["stage.head_width is 1.5"]),
        (
            "looks/winter/references",
            ["references/9.png"],
            ["looks.winter.references", "9.png does not exist"],
        ),
        ("looks/winter/references", ["../secret.png"], ["looks.winter.references", "leads out of"]),
        ("looks/winter/references", ["/etc/passwd"], ["looks.winter.references", "leads out of"]),
        ("looks/winter/references", ["references/1.png"] * 10, ["looks.winter.references", "1 to 9"]),
    ],
)
def test_a_bad_card_is_refused_by_key(folder, path, value, words):
    write(folder, edited(path, value))
    with pytest.raises(CharacterError) as caught:
        BrandCharacter.load(folder)
    assert all(word in str(caught.value) for word in ["card.yaml", *words]), caught.value


def test_every_problem_of_a_card_is_named_at_once(folder):
    content = edited("name", None)
    content["rights"]["colour"] = "red"
    write(folder, content)
    with pytest.raises(CharacterError, match=r"name is missing[\s\S]*rights\.colour is unknown"):
        BrandCharacter.load(folder)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"name: [", "not valid YAML"),
        (b"", "holds no keys"),
        (b"- a\n- b", "holds no keys"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"!!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_a_card_that_is_no_card(folder, content, words):
    (folder / "card.yaml").write_bytes(content)
    with pytest.raises(CharacterError, match=rf"card\.yaml.*{words}"):
        BrandCharacter.load(folder)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 3 is not valid JSON"),
        ("[1]", "line 3: file_name is missing"),
        ('{"prompt": "a"}', "line 3: file_name is missing"),
        ('{"file_name": "0.mp4"}', "line 3: prompt is missing"),
        ('{"file_name": "0.mp4", "prompt": " "}', "line 3: prompt is missing"),
        ('{"file_name": "0.mp4", "prompt": []}', "line 3: prompt is missing"),
        ('{"file_name": "9.mp4", "prompt": "a"}', r"9\.mp4 does not exist"),
        ('{"file_name": "../held_out/0.mp4", "prompt": "a"}', "leads out of"),
        ('{"file_name": "0.mp4", "prompt": "a", "look": ["winter"]}', "line 3: look is no text"),
        (
            '{"file_name": "0.mp4", "prompt": "a", "look": "summer"}',
            "0.mp4 has the look 'summer'.*Choose 'everyday' or 'winter'",
        ),
    ],
)
def test_a_bad_line_of_metadata_is_named(folder, line, words):
    with (folder / "clips/metadata.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(CharacterError, match=rf"metadata\.jsonl.*{words}"):
        BrandCharacter.load(folder)


def test_a_voice_is_part_of_the_character(folder):
    assert BrandCharacter.load(folder).voice is None
    write(folder, edited("voice/sample", "voice.wav"))
    with pytest.raises(CharacterError, match=r"voice\.sample: .*voice\.wav does not exist"):
        BrandCharacter.load(folder)
    (folder / "voice.wav").write_bytes(b"one")
    moss = BrandCharacter.load(folder)
    assert moss.voice == folder / "voice.wav" and moss.digest
    (folder / "voice.wav").write_bytes(b"two")
    assert BrandCharacter.load(folder).digest != moss.digest


def test_what_is_missing_is_named(folder):
    with pytest.raises(CharacterError, match=r"no look 'summer'\. Choose 'everyday' or 'winter'"):
        BrandCharacter.load(folder).pictures("summer")
    (folder / "clips/metadata.jsonl").unlink()
    with pytest.raises(CharacterError, match=r"metadata\.jsonl does not exist"):
        BrandCharacter.load(folder)
    (folder / "card.yaml").unlink()
    with pytest.raises(CharacterError, match=r"card\.yaml does not exist"):
        BrandCharacter.load(folder)
    with pytest.raises(CharacterError, match="is no folder"):
        BrandCharacter.load(folder / "nowhere")
    write(folder, edited("looks/winter/references", []))
    shutil.rmtree(folder / "references")
    with pytest.raises(CharacterError, match=r"1\.png does not exist"):
        BrandCharacter.load(folder)


SHIPPED = sorted((Path(__file__).parents[1] / "data" / "characters").iterdir())


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_character_is_whole_and_may_be_used(shipped):
    character = BrandCharacter.load(shipped)
    assert character.concerns() == []
    assert all(picture.fitted(64, 64) for picture in character.pictures())
    assert character.voice is not None and Sound.open(character.voice).seconds > 2
    assert len(character.clips) >= 8 and len(character.held_out) >= 4
    lines = [clip.extra["line"] for clip in (*character.clips, *character.held_out)]
    for entry in (*character.clips, *character.held_out):
        clip = Clip.open(entry.path)
        assert clip.frames.shape[1:] == (64, 64, 3) and len(clip.frames) in (33, 65)
        assert clip.has_sound and clip.sample_rate == 16000 and clip.waveform.abs().max() > 0.05
        assert clip.metadata["prompt"] == entry.prompts[0]
        assert all("[Image 1]" in prompt and entry.extra["line"] in prompt for prompt in entry.prompts)
    assert not set(lines[:8]) & set(lines[8:])
    assert sum(path.stat().st_size for path in shipped.rglob("*") if path.is_file()) < 1_500_000


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda path: path.name)
def test_the_pictures_show_the_parameters_of_the_card(shipped):
    character = BrandCharacter.load(shipped)
    assert list(character.card.stage) == [parameter.name for parameter in stage.PARAMETERS]
    true = stage.Character.from_parameters(character.parameters)
    assert torch.allclose(true.parameters, character.parameters, atol=1e-6)
    shown = character.pictures()[0].pixels.float()

    def distance(other: stage.Character) -> float:
        return (
            (shown - stage.portrait(other, character.clips[0].extra["seed"], 128).float()).abs().mean().item()
        )

    # the renderer's shading may change by a little without the files being made anew; its characters may not
    assert distance(true) < 5
    assert min(distance(stage.Character.draw(seed)) for seed in range(8)) > 2 * distance(true) + 5


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_character_is_not_of_the_pretraining_cast(shipped):
    character = stage.Character.from_parameters(BrandCharacter.load(shipped).parameters)
    cast = torch.stack([stage.Character.draw(seed).parameters for seed in range(500)])
    assert stage.character_distance(cast, character.parameters).min() > 0.2
    turn = abs(character["hair_hue"] - character["skin_hue"])
    assert min(turn, 1 - turn) < 0.14  # a drawn character's hair is further from its skin
