"""What a prompt says of a part of a clip."""

from horsekit.excerpt import excerpt
from horsekit.prompt import timed_lines

LONG = 'A room. [Image 1] says: "one two three four five six" (1.0-4.0 s). The camera pans left.'


def test_a_line_is_said_in_the_part_it_belongs_to_on_that_parts_clock():
    text = '[Image 1] says: "hello" (0.5-1.5 s). [Image 1] adds: "goodbye" (3.0-4.0 s). Warm light.'
    first, second = excerpt(text, 0, 2), excerpt(text, 2.5, 5)
    assert "hello" in first and "goodbye" not in first
    assert "goodbye" in second and "hello" not in second
    (line,) = timed_lines(second)
    assert (line.start, line.end) == (0.5, 1.5)
    assert "Warm light." in first and "Warm light." in second


def test_of_a_line_over_a_border_each_part_says_its_words_and_none_is_lost():
    parts = [excerpt(LONG, start, start + 1.5) for start in (0, 1.5, 3.0)]
    said = [text[line.first : line.last] for text in parts for line in timed_lines(text)]
    assert " ".join(said) == "one two three four five six"
    for text in parts:
        assert all(0 <= line.start < line.end <= 1.5 for line in timed_lines(text))
    assert all("[Image 1]" in text and "The camera pans left." in text for text in parts)


def test_a_script_without_spaces_parts_anywhere():
    text = 'She says: "一二三四五六七八" (0.0-4.0 s).'
    said = [
        excerpt(text, a, a + 2)[line.first : line.last]
        for a in (0, 2)
        for line in timed_lines(excerpt(text, a, a + 2))
    ]
    assert said == ["一二三四", "五六七八"]


def test_a_part_between_the_lines_says_nothing():
    assert '"' not in excerpt(LONG, 4.5, 6)
    assert excerpt('She says: "now" (0.0-1.0 s).', 2, 4)  # nothing else to say: the prompt as it is


def test_shots_take_their_turns():
    text = "[00:00-00:02] A fox waves.\n[00:02-00:04] A bear bows."
    assert excerpt(text, 0, 2) == "A fox waves." and excerpt(text, 2.5, 4) == "A bear bows."
    assert excerpt(text, 1, 3) == "A fox waves. A bear bows."


def test_of_a_sentence_with_two_lines_the_later_one_is_left_out():
    text = 'She says: "A" (0.2-0.6 s) and then "B" (1.5-2.0 s).'
    assert excerpt(text, 0.0, 1.0) == 'She says: "A" (0.20-0.60 s).'
    assert '"B" (0.50-1.00 s)' in excerpt(text, 1.0, 2.0) and '"A"' not in excerpt(text, 1.0, 2.0)
