"""Lines get the time that it takes to say them."""

import pytest

from horsekit.dialogue import spoken_seconds, timed
from horsekit.prompt import is_said, timed_lines
from horsekit.stage import Script, phrases
from horsekit.stage.speech import LANGUAGES

LONG = 'A room. [Image 1] says: "one two three four five six" (1.0-4.0 s). The camera pans left.'


def times(text: str) -> tuple[float, float]:
    (line,) = timed_lines(text)
    return line.start, line.end


def test_lines_without_a_time_follow_one_another():
    text = timed('She says: "good morning to you". He says: "hello". Warm light.', 6.0)
    first, second = timed_lines(text)
    assert text[first.first : first.last] == "good morning to you"
    assert 0 < first.start < first.end < second.start < second.end < 6
    assert timed(text, 6.0) == text


@pytest.mark.parametrize("text", ["A quiet room.", LONG])
def test_nothing_is_timed_that_is_timed_already_or_not_said(text):
    assert timed(text, 5.0) == text


def test_lines_for_which_no_time_is_left_stay_untimed():
    lines = timed_lines(timed('"' + "a word " * 8 + '" and "another"', 1.0))
    assert len(lines) == 1 and lines[0].end == 1.0


def test_a_line_keeps_clear_of_those_that_have_their_time():
    text = 'She says: "good morning". He says: "hello" (1.5-2.0 s). She says: "and good night".'
    first, second, third = timed_lines(timed(text, 6.0))
    assert first.end <= second.start == 1.5 and second.end == 2.0 < third.start


def test_a_line_is_said_in_its_shot():
    text = '[00:00-00:02] A fox waves.\n[00:02-00:04] The fox says: "good morning".'
    start, end = times(timed(text, 4.0))
    assert 2 < start < end < 4


def test_words_in_quotes_that_nobody_says_take_no_time_from_those_that_are_said():
    text = timed('A "retro" diner with a "vintage" look. She says: "good morning".', 2.0)
    (line,) = timed_lines(text)
    assert text[line.first : line.last] == "good morning" and line.start < 0.2


@pytest.mark.parametrize("way", phrases.listed(phrases.DIALOGUE))
def test_every_wording_of_the_stage_is_plainly_a_line(way):
    text = way.format(who="[Image 1]", how=" in French", line="good morning")
    assert is_said(text, text.index("good"))


def test_the_same_line_in_two_shots_is_said_in_each():
    text = '[00:00-00:02] She says: "good morning".\n[00:02-00:04] He says slowly: "good morning".'
    first, second = timed_lines(timed(text, 4.0))
    assert 0 < first.start < first.end < 2 < second.start < second.end < 4
    assert second.end - second.start > 1.4 * (first.end - first.start)


def test_a_line_of_a_shot_that_is_over_takes_no_time_from_what_goes_on():
    text = '[00:00-00:02] She says: "good morning".\n[00:02-00:04] He says: "hello".'
    first, second = timed_lines(timed(text, 4.0, begin=2.0))
    assert 0 < first.start < first.end < 2 < second.start < 2.2


def test_what_goes_on_from_a_clip_is_said_after_it():
    start, end = times(timed('She says: "good morning".', 4.0, begin=2.0))
    assert 2 < start < end < 4


def test_a_slow_line_takes_longer_and_a_fast_one_less_whatever_the_camera_does():
    prompt = '[Image 1] says{}: "good morning". The camera pans left slowly.'
    slow, plain, fast = (
        end - start
        for start, end in (times(timed(prompt.format(how), 9.0)) for how in (" slowly", "", " in a hurry"))
    )
    assert slow > 1.4 * plain and fast < 0.9 * plain


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_a_line_takes_as_long_as_a_voice_takes_in_any_language(language):
    ratios = []
    for seed in range(12):
        line = Script.draw(seed, "held_out", 2.56, language=language, speaking=True, delivery="plain").line
        ratios.append(spoken_seconds(line.text) / (line.speech.end - line.speech.start))
    assert 0.75 < sum(ratios) / len(ratios) < 1.35


@pytest.mark.parametrize(
    "text",
    [
        'The camera pushes in slowly as [Image 1] says{}: "good morning".',
        'With a slow push in, [Image 1] says{}: "good morning".',
        '[Image 1] says{}: "good morning", while the camera moves slowly.',
        '[Image 1] turns her head slowly and says{}: "good morning".',
        '[Image 1] nods slowly, smiles and says{}: "good morning".',
        '[Image 1] says{}: "good morning", turning slowly to the window.',
    ],
)
def test_the_pace_of_a_camera_or_a_gesture_in_the_sentence_of_a_line_is_not_the_line_s(text):
    plain = times(timed('[Image 1] says: "good morning".', 9.0))
    assert times(timed(text.format(""), 9.0)) == plain
    start, end = times(timed(text.format(" in a hurry"), 9.0))
    assert end - start < 0.9 * (plain[1] - plain[0])


@pytest.mark.parametrize(
    "text",
    [
        'Slowly, [Image 1] says: "good morning".',
        '[Image 1] says slowly and softly: "good morning".',
        '[Image 1] says slowly, "good morning".',
        '"good morning", [Image 1] says very slowly.',
        '[Image 1] turns and, at a slow pace, says: "good morning".',
        '[Image 1] says: "good morning", drawing out the words.',
        '[Image 1] says drawing out the words: "good morning".',
    ],
)
def test_a_manner_is_the_line_s_wherever_it_stands(text):
    start, end = times(timed('[Image 1] says: "good morning".', 9.0))
    slow, slowest = times(timed(text, 9.0))
    assert slowest - slow > 1.4 * (end - start)


@pytest.mark.parametrize("way", phrases.listed(phrases.DIALOGUE))
def test_a_pace_is_the_line_s_in_all_wordings_of_the_stage(way):
    def seconds(how):
        start, end = times(timed(way.format(who="[Image 1]", how=how, line="good morning"), 9.0))
        return end - start

    for how in phrases.listed(phrases.DELIVERIES["slow"]):
        assert seconds(f" {how} in French") > 1.4 * seconds(" in French")
    for how in phrases.listed(phrases.DELIVERIES["fast"]):
        assert seconds(f" {how}") < 0.9 * seconds("")
