import hashlib
import re
import subprocess
import sys
from collections import Counter

import pytest
import torch

from horsekit.prompt import layer_of, may_speak, mentions, timed_lines
from horsekit.stage import MOVES, Background, CameraMove, Character, Light, phrases, wording
from horsekit.stage.delivery import DELIVERIES
from horsekit.stage.lines import lines
from horsekit.stage.phrases import listed, phrasings
from horsekit.stage.script import IDENTITIES, Script, held_out, stage, stage_batch
from horsekit.stage.seeding import generator
from horsekit.stage.speech import LANGUAGES

TABLES = ("SUBJECT", "ACTION", "DIALOGUE", "LIGHT", "SOUND", "SETTING")
ALL_TABLES = (*TABLES, "PAIR", "IDLE", "SILENT", "CAMERA")


def drawn(split: str, count: int = 24, **options) -> list[Script]:
    return [Script.draw(seed, split, **options) for seed in range(count)]


def digest(seed: int) -> str:
    clip, truth = stage(Script.draw(seed, seconds=0.64, speaking=True, language="ja"), 16)
    content = clip.frames.numpy().tobytes() + clip.waveform.numpy().tobytes() + repr(truth.phonemes).encode()
    return hashlib.sha256(content + repr(truth.layers).encode()).hexdigest()


SAME = """
import sys; sys.path.insert(0, {folder!r})
import torch; torch.set_num_threads({threads})
from test_script import digest
print(digest(5))
"""


def test_a_seed_gives_the_same_clip_in_any_process():
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            SAME.format(folder=__file__.rpartition("/")[0], threads=torch.get_num_threads()),
        ],
        capture_output=True,
        text=True,
    )
    assert run.stdout.strip() == digest(5), run.stderr


def test_the_splits_share_no_identity_line_light_or_phrasing():
    for split in wording.SPLITS:
        for script in drawn(split):
            assert all(identity in IDENTITIES[split] for identity in script.identities)
            assert held_out(script.camera.kind, script.light.direction) == (split == "held_out")
            if script.line:
                assert script.line.text in lines(script.line.language, split)
    assert not set(IDENTITIES["train"]) & set(IDENTITIES["held_out"])
    for name in ALL_TABLES:
        table = getattr(phrases, name)
        train, test = set(phrasings(table, "train")), set(phrasings(table, "held_out"))
        assert train and test and not train & test and train | test == set(listed(table))


def test_every_move_and_every_direction_is_seen_in_both_splits():
    combinations = [(move, d, held_out(move, d)) for move in MOVES for d in range(8)]
    for split in (True, False):
        assert {m for m, _, h in combinations if h is split} == set(MOVES)
        assert {d for _, d, h in combinations if h is split} == set(range(8))


@pytest.mark.parametrize("name", TABLES)
def test_a_layer_has_thirty_wordings(name):
    assert len(set(listed(getattr(phrases, name)))) >= 30


@pytest.mark.parametrize("move", MOVES)
def test_a_camera_move_has_thirty_wordings(move):
    source = generator(0, "test")
    said = {wording.camera(CameraMove(move), source, "train") for _ in range(400)}
    assert len(said) >= 30


def test_words_follow_the_facts():
    source = generator(1, "test")
    for split in wording.SPLITS:
        for _ in range(20):
            light = wording.light(Light(6, "warm", "high", "matte"), source, split).lower()
            assert re.search("from the right|right side", light)
            assert re.search("warm|golden|amber", light) and re.search("matte|without shine|powdered", light)
            push = wording.camera(CameraMove("dolly_in", "fast"), source, split).lower()
            assert re.search("in|closer|nearer|forward", push) and re.search("quick|fast|swift", push)
            said = wording.dialogue("[Image 2]", "bis bald", "German", "plain", source, split)
            assert '"bis bald"' in said and "[Image 2]" in said and "German" in said
            said = wording.dialogue("[Image 2]", "bis bald", "German", "soft", source, split)
            assert re.search("soft|under the breath", said) and "German" in said


def test_a_prompt_can_tell_when_its_line_is_said():
    for script in drawn("train", 12):
        lines = timed_lines(script.prompt(3, timed=True))
        assert not timed_lines(script.prompt(3))
        if script.line is None:
            assert not lines
            continue
        spoken = [p for p in script.phonemes if p.symbol]
        assert [(line.start, line.end) for line in lines] == [
            pytest.approx((spoken[0].start, spoken[-1].end), abs=0.006)
        ]


def test_a_line_is_delivered_as_its_words_say_and_all_else_stays():
    assert {script.line.delivery for script in drawn("train", 90, speaking=True)} == set(DELIVERIES)
    for seed in range(8):
        plain, slow = (Script.draw(seed, speaking=True, delivery=name) for name in ("plain", "slow"))
        assert (slow.camera, slow.light, slow.background) == (plain.camera, plain.light, plain.background)
        assert slow.line.delivery == "slow" and slow.phonemes[-1].end <= slow.frames / 25
        fast = slow.delivered("fast")
        assert fast.line.text == slow.line.text and fast.line.start == slow.line.start
        assert fast.line.speech.end < slow.line.speech.end
        words = {script.layers(2)["dialogue"] for script in (slow, fast)}
        assert len(words) == 2
    silent = Script.draw(3, speaking=False)
    assert silent.delivered("loud") is silent
    with pytest.raises(ValueError, match=r"whispered.*plain, soft"):
        Script.draw(3, delivery="whispered")


def test_prompts_read_well_and_keep_to_their_length():
    lengths = []
    for split in wording.SPLITS:
        for script in drawn(split, 40):
            text = script.prompt()
            lengths.append(len(text.split()))
            assert not re.search(r"\{|\}|  |,[,.;:]|\b[Aa] [aeio]\w+-skinned|\.\.", text), text
            assert text[0].isupper() or text[0] in '"[', text
    assert min(lengths) >= 15 and max(lengths) <= 75
    assert 25 <= sorted(lengths)[len(lengths) // 2] <= 50


def test_each_layer_is_recognised_in_free_text():
    right = Counter()
    for script in drawn("train", 30):
        for name, words in script.layers().items():
            right[name] += layer_of(words) == name
    assert all(right[name] >= 29 for name in right), right


def test_the_speaker_is_named_and_references_are_numbered():
    for script in drawn("train", 12, characters=2, speaking=True):
        for seed in range(3):
            text = script.prompt(seed)
            assert mentions(text) == {1, 2}
            said = script.layers(seed)["dialogue"]
            assert f"[Image {script.speaker + 1}]" in said and script.line.text in said
            assert not mentions(script.prompt(seed, references=False))
    for script in drawn("train", 12, speaking=False):
        assert mentions(script.prompt()) == {1} and script.line is None


def test_a_prompt_seed_varies_the_words_alone():
    script = Script.draw(3)
    assert len({script.prompt(seed) for seed in range(8)}) >= 7
    assert script.prompt(2) == script.prompt(2)


@pytest.mark.parametrize("seconds", [1.28, 2.56])
def test_lines_fit_and_mouths_close_before_the_end(seconds):
    for script in drawn("train", 16, seconds=seconds, speaking=True):
        end = script.line.start + script.line.speech.end
        assert script.line.start >= 0 and end <= script.frames / 25 - 0.08 + 1e-6
        assert script.mouths.shape == (1, script.frames, 5)
        assert script.mouths[0, :, 0].max() > 0.2
        assert script.waveform.shape == (script.frames * 640, 1)
        before = script.waveform[: max(1, int(script.line.start * 16000) - 1)]
        assert before.abs().max() < 0.1  # no speech yet, ambience alone


def test_only_the_speaker_moves_the_mouth_and_nobody_in_silence():
    for script in drawn("train", 8, characters=2, speaking=True):
        assert script.mouths[script.speaker, :, 0].max() > 0.2
        assert script.mouths[1 - script.speaker, :, 0].max() == 0
    silent = Script.draw(0, speaking=False)
    assert silent.mouths[..., 0].max() == 0 and silent.waveform.abs().max() < 0.1


def test_all_languages_are_drawn_english_most():
    spoken = Counter(s.line.language for s in drawn("train", 80, speaking=True))
    assert set(spoken) == set(LANGUAGES) and 40 <= spoken["en"] <= 64


def test_a_mirrored_pair_changes_places_on_screen():
    for script in drawn("train", 6, characters=2, seconds=0.16, speaking=False):
        _, truth = stage(script, 16)
        first, second = truth.head_box[:, 0, 0].tolist()
        assert (first > second) == script.mirrored


def test_a_batch_is_the_same_as_one_by_one():
    scripts = drawn("train", 3, seconds=0.16, speaking=False)
    for (clip, truth), script in zip(stage_batch(scripts, 24), scripts, strict=True):
        alone, _ = stage(script, 24)
        assert (clip.frames.int() - alone.frames.int()).abs().max() <= 1
        assert torch.equal(clip.waveform, alone.waveform) and truth.seed == script.seed


def test_a_cast_from_outside_plays():
    own = Character.draw(77)
    script = Script.draw(1, cast=[own], language="fr", speaking=True)
    assert script.characters == (own,) and script.identities == (-1,) and script.line.language == "fr"


@pytest.mark.parametrize(
    "options", [{"split": "exam"}, {"characters": 3}, {"seconds": 0.2, "speaking": True}]
)
def test_an_impossible_script_is_refused(options):
    with pytest.raises(ValueError, match=r"split|characters|longer"):
        Script.draw(0, **options)


def test_colours_have_names():
    names = {wording.colour_name(c) for c in ((1.0, 0, 0), (0, 0, 1.0), (0.5, 0.5, 0.5), (0.2, 0.1, 0.05))}
    assert names == {"red", "blue", "grey", "dark brown"}
    assert wording.setting(Background(3), generator(0, "test"), "train")


@pytest.mark.parametrize("seconds", [1.28, 2.56, 5.12, 10.24])
def test_speech_fills_a_clip_of_any_length(seconds):
    shares = []
    for seed in range(6):
        line = Script.draw(seed, "held_out", seconds, speaking=True).line
        shares.append((line.speech.end - line.speech.start) / seconds)
    assert all(share < 1 for share in shares) and sum(shares) / len(shares) > 0.55


def test_layers_that_are_asked_for_are_never_left_out():
    for seed in range(40):
        script = Script.draw(seed, "held_out")
        free, asked = script.prompt(seed), script.prompt(seed, always=("camera", "light"))
        layers = script.layers(seed)
        for name in ("camera", "light"):
            assert layers[name].rstrip(".").lower() in asked.lower()
        assert len(asked) >= len(free)


def test_a_twin_differs_in_one_term_and_in_nothing_else():
    changed = Counter()
    for seed in range(200):
        script = Script.draw(seed, speaking=False)
        for moving in (True, False):
            twin = script.twin(moving)
            kept = {
                "seed",
                "split",
                "frames",
                "characters",
                "identities",
                "background",
                "ambience",
                "mirrored",
            }
            assert all(getattr(script, name) == getattr(twin, name) for name in kept - {"background"})
            terms = [
                name
                for part, names in (("camera", ("kind", "speed")), ("light", tuple(vars(script.light))))
                for name in names
                if getattr(getattr(script, part), name) != getattr(getattr(twin, part), name)
            ]
            assert len(terms) == 1 and (moving or terms[0] not in ("kind", "speed"))
            assert script.camera.magnitude == twin.camera.magnitude
            assert script.camera.kind.partition("_")[2] == twin.camera.kind.partition("_")[2] or terms != [
                "kind"
            ]
            assert not held_out(twin.camera.kind, twin.light.direction), "as its split"
            changed[terms[0]] += 1
    assert set(changed) == {"kind", "speed", "direction", "colour", "key_to_fill", "gloss"}


def test_another_voice_changes_who_is_heard_and_nothing_else():
    timbres, pitches = [], []
    for seed in range(40):
        script = Script.draw(seed, characters=1 + seed % 2, speaking=True)
        twin, who = script.voiced(), script.speaker
        one, other = (s.characters[who].voice for s in (script, twin))
        assert other.rate == one.rate and abs(other.pitch - one.pitch) >= 4
        kept = ("seed", "camera", "light", "background", "ambience", "mirrored", "speaker")
        assert all(getattr(script, name) == getattr(twin, name) for name in kept)
        assert torch.equal(twin.characters[who].parameters, script.characters[who].parameters)
        assert twin.characters[1 - who :: 2] == script.characters[1 - who :: 2]
        assert (twin.line.text, twin.line.start) == (script.line.text, script.line.start)
        assert not torch.equal(script.waveform, twin.waveform)
        timbres.append(other.variant == one.variant)
        pitches.append(other.pitch)
    assert 0.5 < sum(timbres) / len(timbres) < 0.95 and len(set(pitches)) > 30
    silent = Script.draw(1, speaking=False)
    assert silent.voiced().line is None


def test_the_words_tell_who_speaks():
    scripts = [Script.draw(seed, characters=2, speaking=True) for seed in range(40)]
    for script in scripts:
        for number in range(3):
            heard = {n for n in (1, 2) if may_speak(script.prompt(number, timed=number == 2), n)}
            assert heard == {script.speaker + 1}
    assert {script.speaker for script in scripts} == {0, 1}
