import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from horsekit.prompt import (
    DIRECTIONS,
    LAYERS,
    MAX_CHARACTERS,
    Prompt,
    PromptError,
    Shot,
    TimedLine,
    checked,
    is_said,
    may_speak,
    mentions,
    normalised,
    quoted,
    timed_lines,
    with_time,
    without_layers,
)

SPELLINGS = (
    "[Image 2]",
    "[Image2]",
    "[image 2]",
    "character2",
    "Character 2",
    "@Image2",
    "@image 2",
    "<sub_2>",
)
WORDS = st.text(st.characters(categories=("L", "N"), include_characters=" ,'"), min_size=1, max_size=30)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_mention_becomes_one(spelling):
    assert normalised(f"The fox, {spelling}, waves.") == "The fox, [Image 2], waves."
    assert mentions(f"{spelling} and [Image 1]") == {1, 2}


def test_plain_words_are_no_mentions():
    text = "A character in 1920, image 3 of a series, subs and characters."
    assert normalised(text) == text and mentions(text) == set()


@pytest.mark.parametrize("marks", ["„…“", "„…”", "«…»", "« … »", "»…«", "『…』", "“…“", "”…”"])
def test_a_line_in_the_marks_of_another_language_is_a_line(marks):
    text = f'[Image 1] sagt: {marks.replace("…", "Guten Abend")}. "Ja", sagt [Image 2].'
    assert checked(text) == '[Image 1] sagt: "Guten Abend". "Ja", sagt [Image 2].'
    assert [checked(text)[a:b] for a, b in quoted(checked(text))] == ["Guten Abend", "Ja"]


def test_marks_within_a_line_stay():
    for text in ('She says: "it reads «open» there".', "她说：“他叫『阿明』”。", "「『はい』と言った」"):
        assert normalised(text) == text


def test_inches_are_no_line():
    text = "A 7” tablet beside a 9” one."
    assert normalised(text) == text


PIECES = st.sampled_from([*'„“”«»『』「」" a1', "[Image 1]", "character1"])


@given(st.text(max_size=200) | st.lists(PIECES, max_size=24).map("".join))
@settings(max_examples=300, deadline=None)
def test_normalising_twice_changes_nothing_more(text):
    try:
        once = normalised(text)
    except PromptError:
        return
    assert normalised(once) == once and mentions(once) == mentions(text)


@pytest.mark.parametrize("text", ["[Image 0] waves", "@Image12 waves", "[Image 99999999999999] waves"])
def test_a_mention_out_of_range_is_named(text):
    with pytest.raises(PromptError, match="numbered 1 to 9"):
        mentions(text)


@pytest.mark.parametrize(
    ("text", "references", "words"),
    [
        ("", None, "empty"),
        (" \n\t", None, "empty"),
        ("a" * 100_000, None, "100,000 characters"),
        ("[Image 3] waves to [Image 1]", 2, r"\[Image 3\].*2 given"),
        ("[Image 1] waves", 0, "none was given"),
        (None, None, "NoneType"),
    ],
)
def test_a_prompt_that_cannot_be_used_is_refused_with_the_reason(text, references, words):
    with pytest.raises(PromptError, match=words):
        checked(text, references)


def test_the_longest_prompt_is_kept_whole():
    assert len(checked("a" * MAX_CHARACTERS)) == MAX_CHARACTERS


@given(st.dictionaries(st.sampled_from(LAYERS), WORDS.map(str.strip).filter(bool), min_size=1))
@settings(max_examples=100, deadline=None)
def test_labelled_text_reads_back_exactly(layers):
    prompt = Prompt.of({name: normalised(words) for name, words in layers.items()})
    assert Prompt.parse(prompt.text(labels=True)) == prompt


def test_shots_with_timecodes_read_back():
    prompt = Prompt(
        (
            Shot(dialogue='[Image 1] says: "hello"', camera="The camera pans left", start=0.0, end=1.28),
            Shot(action="[Image 1] nods", light="Warm light from the left", start=1.28, end=64.5),
        )
    )
    text = prompt.text(labels=True)
    assert "[00:00-00:01.280]" in text and "[00:01.280-01:04.500]" in text
    assert Prompt.parse(text) == prompt


def test_a_line_is_timed_and_its_words_are_found_again():
    text = with_time('[Image 1] says: "Good morning." The camera pans.', 0.2, 1.128)
    assert text == '[Image 1] says: "Good morning." (0.20-1.13 s) The camera pans.'
    (line,) = timed_lines(text)
    assert text[line.first : line.last] == "Good morning."
    assert (line.start, line.end) == (0.2, 1.13)
    assert timed_lines('"One" (0.5 – 1 s), then 「二」(1-2.5s) and "three" (maybe).') == (
        TimedLine(1, 4, 0.5, 1.0),
        TimedLine(25, 26, 1.0, 2.5),
    )
    assert Prompt.parse('"Good." (0-1 s), says [Image 1]. He nods.').shots[0].action == "He nods."
    parsed = Prompt.parse(text).shots[0]
    assert parsed.dialogue == '[Image 1] says: "Good morning." (0.20-1.13 s)'
    assert parsed.camera == "The camera pans."


def test_a_line_that_cannot_be_timed_is_named():
    with pytest.raises(PromptError, match='"hi" is timed from 2 to 1 s'):
        timed_lines('She says "hi" (2-1 s).')
    with pytest.raises(PromptError, match="quotes no line"):
        with_time("She is silent.", 0, 1)


def test_numbered_shots_read_back():
    prompt = Prompt((Shot(subject="A fox"), Shot(subject="A crow", sound="Wind")))
    assert Prompt.parse(prompt.text(labels=True)) == prompt


def test_free_text_is_sorted_into_layers_and_quotes_stay_whole():
    shot = Prompt.parse(
        'A close portrait of @Image1. @Image1 says: "Wait. The camera, the light!" '
        "The camera pushes in slowly. Warm key light from the left, matte skin. We hear rain. "
        "Before a pale wall."
    ).shots[0]
    assert shot.subject == "A close portrait of [Image 1]."
    assert shot.dialogue == '[Image 1] says: "Wait. The camera, the light!"'
    assert shot.camera == "The camera pushes in slowly."
    assert shot.light.startswith("Warm key light") and shot.sound == "We hear rain."
    assert shot.setting == "Before a pale wall."


@given(st.text(max_size=300).filter(lambda text: text.strip()))
@settings(max_examples=100, deadline=None)
def test_parsing_loses_no_letter(text):
    try:
        text = checked(text)
        shots = Prompt.parse(text).shots
    except PromptError:
        return
    kept = "".join("".join(shot.layers.values()) for shot in shots)
    if ":" not in text and "：" not in text and "[" not in text:
        assert sorted(filter(str.isalnum, kept)) == sorted(filter(str.isalnum, text))


def test_a_layer_is_replaced_alone():
    prompt = Prompt.parse("A fox waves. The camera pans left.").with_layer("camera", "The camera is still.")
    assert prompt.text() == "A fox waves. The camera is still."
    with pytest.raises(PromptError, match="smell"):
        prompt.with_layer("smell", "roses")
    with pytest.raises(PromptError, match="smell"):
        Prompt.of({"smell": "roses"})


@pytest.mark.parametrize("times", [(1.0, 1.0), (2.0, 1.0), (-1.0, 1.0), (None, 1.0)])
def test_an_impossible_shot_is_refused(times):
    with pytest.raises(PromptError, match="shot"):
        Shot(subject="A fox", start=times[0], end=times[1])


WRITTEN = [
    (
        '[Image 1] says "the camera is on". The camera pans left. A room.',
        '[Image 1] says "the camera is on". A room.',
    ),
    ("Light: warm, from the left.\nSubject: a fox.", "Subject: a fox."),
    ("[00:00-00:01] The camera pans left. A fox. Shot 2: Soft light.", "[00:00-00:01] A fox. Shot 2:"),
    ("The camera tilts up. Hard light from above.", ""),
    ("Camera: pans left. A fox follows.\nSetting: a room.", "Setting: a room."),
]


@pytest.mark.parametrize(("text", "left"), WRITTEN)
def test_layers_are_left_out_of_a_text_and_nothing_else(text, left):
    assert without_layers(text, DIRECTIONS) == left
    assert without_layers(text, ()) == " ".join(text.split())


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ('[Image 2] says to [Image 1]: "hello".', {2}),
        ('[Image 1] listens. "Good morning", says @Image2. [Image 1] nods.', {2}),
        ('[Image 1] says: "[Image 2] is here".', {1}),
        ('[Image 1] asks: "who?" [Image 2] answers: "me".', {1, 2}),
        ('[Image 1] asks: "who?" The other answers: "me".', {1, 2}),  # nobody knows which other
        ("[Image 1] waves at [Image 2].", {1, 2}),
        ("", {1, 2}),
    ],
)
def test_a_reference_may_be_heard_unless_all_lines_are_said_by_others(text, heard):
    assert {number for number in (1, 2) if may_speak(text, number)} == heard


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[Image 1] holds a sign "SALE" and says "Half the price".', ["Half the price"]),
        ('A banner that reads: "OPEN". [Image 1] waves.', []),
        ('[Image 1] points at the sign and says "Look".', ["Look"]),
        ('[Image 1] reads "Once upon a time" aloud.', ["Once upon a time"]),
        ('[Image 1] says "there is a sign" and "come in".', ["there is a sign", "come in"]),
        ("A poster with the words “早” hangs there. [Image 1] says “早上好”.", ["早上好"]),
    ],
)
def test_what_is_read_is_no_line_that_is_said(text, said):
    assert [text[first:last] for first, last in quoted(text)] == said


@pytest.mark.parametrize(
    ("text", "plainly"),
    [
        ('A "retro" diner. She says: "hello".', [False, True]),
        ('[Image 1] in German: "guten Tag".', [True]),
        ('The words of [Image 1] "good morning". A "vintage" look.', [True, False]),
        ('"Come in", she answered, and waved. The "old" house.', [True, False]),
        ('"Come in".', [False]),
    ],
)
def test_what_is_plainly_a_line_is_told_from_words_in_quotes(text, plainly):
    assert [is_said(text, first) for first, _ in quoted(text)] == plainly


def test_a_sign_makes_no_dialogue_and_silences_nobody():
    text = '[Image 1] nods. [Image 2] holds a sign "SALE".'
    assert Prompt.parse(text).shots[0].dialogue == ""
    assert may_speak(text, 1) and may_speak(text, 2)
    with pytest.raises(PromptError, match="quotes no line"):
        with_time(text, 0.1, 0.9)
