"""Tasks by roles, and what is withheld."""

from dataclasses import replace

import pytest
import torch

from horsekit.dataset.sample import LatentSample, Recipe
from horsekit.sequence import Modality, Role

PLAIN = Recipe(0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0)


def sample():
    generator = torch.Generator().manual_seed(0)
    return LatentSample(
        video=torch.randn(5, 2, 2, 6, generator=generator),
        audio=torch.randn(17, 3, generator=generator),
        prompts=("a fox sings", "the fox is singing here"),
        references={1: torch.randn(4, 2, 2, 6, generator=generator)},
    )


@pytest.fixture
def drawn(words):
    """Draws sequences of the sample by a recipe."""

    def draw(recipe, count=60):
        return [
            recipe.sequence(sample(), words, torch.Generator().manual_seed(seed)) for seed in range(count)
        ]

    return draw


def part(sequence, modality, role=None):
    return [s for s in sequence.segments if s.modality == modality and (role is None or s.role == role)]


def test_reference_to_video_generates_everything_and_shares_a_slot_with_the_words(drawn):
    for sequence in drawn(PLAIN):
        (video,) = part(sequence, Modality.VIDEO, Role.GENERATE)
        assert video.generate.all()
        (text,) = part(sequence, Modality.TEXT)
        mentioned = set(text.slots.tolist()) - {0}
        pictured = {int(slot) for s in part(sequence, Modality.VIDEO, Role.REFERENCE) for slot in s.slots}
        assert mentioned == pictured and len(pictured) == 1


def test_slots_are_shuffled_and_one_to_three_pictures_are_shown(drawn):
    sequences = drawn(PLAIN)
    slots = {int(part(s, Modality.VIDEO, Role.REFERENCE)[0].slots[0]) for s in sequences}
    counts = {len(part(s, Modality.VIDEO, Role.REFERENCE)) for s in sequences}
    assert slots == {1, 2, 3, 4}
    assert counts == {1, 2, 3}


def test_without_pictures_the_words_describe_the_character(words):
    described = replace(sample(), described=("a red one is singing now",))
    cases = (
        (1, described, described.described),
        (1, sample(), sample().prompts),
        (0, described, sample().prompts),
    )
    for drop, clip, prompts in cases:
        recipe, said = replace(PLAIN, reference_drop=drop), [words.encode(prompt)[1:] for prompt in prompts]
        for seed in range(5):
            sequence = recipe.sequence(clip, words, torch.Generator().manual_seed(seed))
            (text,) = part(sequence, Modality.TEXT)
            assert text.values.tolist()[1:] in said  # the first is a mention, which is renumbered
            assert bool(part(sequence, Modality.VIDEO, Role.REFERENCE)) != bool(drop)


def test_a_token_shows_the_slot_that_its_character_was_given(words):
    pair = replace(
        sample(),
        references={k: torch.randn(1, 2, 2, 6) for k in (1, 2)},
        shows=torch.tensor([1, 2]).expand(5, 2, 2).clone(),
    )
    for seed in range(5):
        sequence = PLAIN.sequence(pair, words, torch.Generator().manual_seed(seed))
        video, first, second = part(sequence, Modality.VIDEO)
        assert video.shows.tolist() == [int(first.slots[0]), int(second.slots[0])] * 10
    assert not any(s.shows.any() for s in PLAIN.sequence(sample(), words, torch.Generator()).segments)


def test_voices_are_heard_in_the_slot_of_their_character_as_often_as_asked(words):
    speaking = replace(sample(), voices={1: torch.randn(8, 3)})
    heard = 0
    for seed in range(60):
        sequence = Recipe(voice_drop=0.5).sequence(speaking, words, torch.Generator().manual_seed(seed))
        voices = part(sequence, Modality.AUDIO, Role.REFERENCE)
        pictures = part(sequence, Modality.VIDEO, Role.REFERENCE)
        heard += len(voices)
        if voices and pictures:
            assert set(voices[0].slots.tolist()) == set(pictures[0].slots.tolist())
    assert 15 < heard < 45


def test_of_two_voices_the_speakers_alone_is_heard(words):
    prompt = '[Image 1] listens. [Image 2] says: "a fox sings".'
    mine, yours = torch.randn(8, 3), torch.randn(6, 3)
    duet = replace(sample(), prompts=(prompt,), voices={1: mine, 2: yours})
    for seed in range(8):
        sequence = replace(PLAIN, voice_drop=0.0).sequence(duet, words, torch.Generator().manual_seed(seed))
        (voice,) = part(sequence, Modality.AUDIO, Role.REFERENCE)
        assert torch.equal(voice.values, yours)


def test_all_words_or_all_pictures_can_be_withheld(drawn):
    for sequence in drawn(Recipe(text_drop=1, reference_drop=1), 5):
        assert part(sequence, Modality.TEXT)[0].values.tolist() == [1]
        assert not part(sequence, Modality.VIDEO, Role.REFERENCE)


def test_the_words_on_camera_and_light_can_be_withheld(words):
    prompt = 'Camera: the lens pans left. [Image 1] says "the light is on me". Warm light from the left. Rain is heard.'
    directed = replace(sample(), prompts=(prompt,))
    for drop, said in ((0, prompt), (1, '[Image 1] says "the light is on me". Rain is heard.')):
        sequence = replace(PLAIN, direction_drop=drop).sequence(directed, words, torch.Generator())
        (text,) = part(sequence, Modality.TEXT)
        ids = words.encode(said)
        assert len(text.values) == len(ids) and text.values.tolist()[-6:] == ids[-6:]


def test_a_prompt_of_nothing_but_camera_and_light_is_withheld_as_a_whole(words):
    directed = replace(sample(), prompts=("The camera pans left. Warm light from the left.",))
    sequence = replace(PLAIN, direction_drop=1).sequence(directed, words, torch.Generator())
    assert part(sequence, Modality.TEXT)[0].values.tolist() == list(words.empty)


@pytest.mark.parametrize("task", ["image_to_video", "audio_to_video", "video_to_audio", "continuation"])
def test_a_task_gives_its_part_clean_and_asks_for_the_rest(task, drawn):
    chances = {"image_to_video": 0, "audio_to_video": 0, "video_to_audio": 0, "continuation": 0, task: 1}
    for sequence in drawn(Recipe(**chances), 10):
        video = next(s for s in part(sequence, Modality.VIDEO) if s.role != Role.REFERENCE)
        (audio,) = part(sequence, Modality.AUDIO)
        given_latents = (~video.generate).view(5, 4).all(1).sum().item()
        given_audio = (~audio.generate).sum().item()
        expected = {
            "image_to_video": given_latents == 1 and given_audio == 0,
            "audio_to_video": given_latents == 0 and given_audio == 17,
            "video_to_audio": given_latents == 5 and given_audio == 0,
            # a prefix of picture and sound that ends at the same instant
            "continuation": given_latents >= 2 and given_audio == 4 * given_latents - 3,
        }
        assert expected[task]


def test_the_picture_that_is_given_opens_a_clip_or_ends_it(drawn):
    given = []
    for sequence in drawn(Recipe(image_to_video=1, audio_to_video=0, video_to_audio=0, continuation=0)):
        (video,) = part(sequence, Modality.VIDEO, Role.GENERATE)
        given.append((~video.generate).view(5, 4).all(1).tolist())
    first, last = ([k == place for k in range(5)] for place in (0, 4))
    assert all(one in (first, last) for one in given)
    assert 15 < given.count(first) < 45


def test_a_clip_without_sound_trains_the_picture_only(words):
    silent = LatentSample(sample().video, None, ("a fox",), {})
    sequence = Recipe().sequence(silent, words, torch.Generator().manual_seed(0))
    assert not part(sequence, Modality.AUDIO)


def test_impossible_chances_are_named():
    with pytest.raises(ValueError, match="text_drop is 2"):
        Recipe(text_drop=2)
    with pytest.raises(ValueError, match="add up to more than 1"):
        Recipe(image_to_video=0.7, audio_to_video=0.7)
