"""Pictures of nobody, of two and of somebody else are told from good references, by the reader that ships."""

import torch

from horsekit.doctor import doubts
from horsekit.media import Picture
from horsekit.stage import Character, Script, portrait, stage_batch


def portraits(who: int, count: int) -> list[Picture]:
    return [Picture(portrait(Character.draw(40_000_000 + who), 10 * who + k, 128)) for k in range(count)]


def test_good_references_raise_no_doubt():
    assert doubts([portraits(who, 3) for who in range(12)]) == []
    assert doubts([[], portraits(0, 1)]) == []
    assert doubts(["data/characters/fennel/references/1.png", portraits(0, 1)[0]]) == []


def test_nobody_and_two_in_a_picture_are_named_with_the_slot_and_the_remedy():
    pair = Script.draw(3_200_000, "held_out", characters=2)
    ((clip, _),) = stage_batch([pair], 64)
    (nobody, two) = doubts(
        [[*portraits(0, 2), Picture(torch.full((64, 64, 3), 90, dtype=torch.uint8))], [clip.picture(0)]]
    )
    assert nobody.startswith("no character is seen in picture 3 of [Image 1]; give")
    assert two.startswith("picture 1 of [Image 2] shows two characters") and "cut it" in two


def test_somebody_else_among_a_characters_pictures_is_named():
    for count in (1, 3):  # of two that differ it is the second
        (found,) = doubts([[*portraits(1, count), *portraits(2, 1)]])
        assert (
            found.startswith(f"picture {count + 1} of [Image 1] shows somebody else")
            and "a slot of its own" in found
        )
