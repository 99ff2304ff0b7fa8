"""What cannot be played as it is written is refused, and what can is not."""

import pytest

from horsekit.dialogue import timed
from horsekit.direction import check_directions
from horsekit.prompt import PromptError
from horsekit.stage import Script
from horsekit.stage.speech import LANGUAGES


@pytest.mark.parametrize(
    "text",
    [
        "A fox waves. The camera pans left and pans right.",
        "A fox waves. The camera pans left and right.",
        "A fox waves. The camera is fixed and it zooms in.",
        "[00:00-00:01] The camera dollies in and dollies out.\n[00:01-00:02] A room.",
    ],
)
def test_a_camera_sent_two_ways_at_once_is_refused(text):
    with pytest.raises(PromptError, match="at once"):
        check_directions(text, 2)


@pytest.mark.parametrize(
    "text",
    [
        "The camera pans left, then pans right.",
        "The camera pans left while it zooms in.",
        "A handheld camera pans left.",
        "[00:00-00:01] The camera pans left.\n[00:01-00:02] The camera pans right.",
        'She says: "turn left, turn right, go in and out". The camera pans left.',
        "Soft light. The camera pans left.",
        "The camera does not move. She looks up.",
        "Static camera. [Image 1] smiles. He looks down at his hands.",
        "[Image 1] stands in a market. She looks left and right.",
        "Static shot. [Image 1] waits. Smoke rises.",
        "The camera does not pan left or right.",
        "No camera movement, no zoom in or out.",
        "Static shot. [Image 1] waits. She tilts her head down.",
        "She looks up while the camera stays fixed.",
        "She stands still while the camera pushes in.",
        "Static shot. She looks up at the camera.",
        "Static shot. She looks up while the camera stays fixed.",
        "The camera pans left. She turns right as the camera follows.",
        "Static camera, without panning left and tilting up.",
        "Static shot without the camera panning left.",
        "Warm light from the left, low contrast, no hard shadows. A glow from behind.",
        "Hard key, deep shadows, soft fill from the right. A glowing butterfly appears from nowhere.",
    ],
)
def test_what_can_be_filmed_is_not_refused(text):
    check_directions(text, 2)


@pytest.mark.parametrize(
    "text",
    [
        "[Image 1] says: 'hello there'.",
        "She says: 'I don't know'.",
        "He whispers softly, ‘hello’.",
        "In a soft voice: 'hello'.",
        "[Image 1] exclaims: 'hello'.",
        "[Image 1] points at the sign and says 'Look here'.",
        "In front of a banner, [Image 1] says: 'Welcome'.",
        "She says: 'Read the label.'",
        "She says 'hello' softly.",
    ],
)
def test_a_line_in_single_marks_is_refused(text):
    with pytest.raises(PromptError, match=r"single quotation marks, ['‘].*double ones"):
        check_directions(text, 2)


@pytest.mark.parametrize(
    "text",
    [
        "She says: \"it's Tom's and Ann's\".",
        "The dogs' owner says it's 'fine' in a '90s style.",
        "She says: \"He told me, 'never again'.\"",
        "She says: “I told you, ‘stop’ now”.",
        "A sign reads: 'OPEN'.",
        "A sign that says 'OPEN'.",
        "The words on her T-shirt: 'NEVER GIVE UP'.",
        "She says \"hello\" beside a sign: 'OPEN'.",
        "Dialogue: [Image 1] says \"hello\"\nSubject: 'Rex', a dog.",
        "He sings '90s hits while the dogs' tails wag.",
        "The line of dogs, '90s style, the owners' toys.",
    ],
)
def test_an_apostrophe_is_no_mark(text):
    check_directions(text, 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A fox waves. Light from nowhere.", "somewhere .*left, right, front or back"),
        ("A fox waves. Warm light from no direction, low contrast.", "somewhere"),
        ("A fox waves. Hard light with high contrast, low contrast.", "low and with high contrast at once"),
        ("A fox waves. It is lit from nowhere.", "somewhere"),
    ],
)
def test_light_that_cannot_be_is_refused(text, words):
    with pytest.raises(PromptError, match=words):
        check_directions(text, 2)


def test_a_language_without_a_voice_is_refused_where_it_is_known_which_there_are():
    for text in (
        'The fox says in Arabic: "good morning".',
        '"good morning", the fox says in fluent Spanish.',
    ):
        check_directions(text, 2)
        with pytest.raises(PromptError, match="no voice; the model speaks English, German"):
            check_directions(text, 2, ("English", "German"))
    for text in (
        'The fox says in English: "in Arabic".',
        'The fox, in Roman dress, says: "good morning". A room in Spanish style.',
        'The fox says "good morning" in an Italian café.',
        'In Danish dress the fox says "good morning" in a Spanish, sunny room.',
    ):
        check_directions(text, 2, ("English", "German"))


@pytest.mark.parametrize(
    "how", ["softly and loudly", "quickly, slowly", "in a monotone but in a lively tone"]
)
def test_a_line_in_two_opposite_manners_is_refused(how):
    with pytest.raises(PromptError, match=f"{how}.*drop one"):
        check_directions(f'The fox says {how}: "good morning".', 2)


def test_manners_that_go_together_or_after_each_other_are_not_refused():
    check_directions('The fox says softly and slowly: "loudly and softly".', 2)
    check_directions('The fox says softly "good", and loudly "morning".', 2)
    check_directions('The fox turns quickly and says slowly: "good morning".', 2)


def test_every_prompt_of_the_stage_can_be_played():
    for seed in range(300):
        for split in ("train", "held_out"):
            script = Script.draw(seed, split, characters=1 + seed % 2)
            prompt = script.prompt(seed, timed=seed % 3 == 0)
            check_directions(timed(prompt, 1.28), 1.28, [name for _, name in LANGUAGES.values()])


def test_a_line_that_nobody_can_say_in_the_time_is_refused_with_the_time_it_needs():
    with pytest.raises(PromptError, match=r"cannot be said in 1\.28 s; .*at least 5\.0 s"):
        check_directions('She says: "' + "a word and " * 9 + 'a"', 1.28)
    with pytest.raises(PromptError, match=r"cannot be said in 0\.1 s"):
        check_directions('She says: "good morning to you" (0.2-0.3 s)', 3)
    with pytest.raises(PromptError):
        check_directions('She says: "' + "你好" * 12 + '"', 1.28)
    check_directions('She says: "good morning to you"', 1.28)
