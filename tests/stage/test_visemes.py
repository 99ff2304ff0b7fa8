import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from horsekit.stage.speech import speak
from horsekit.stage.visemes import VISEMES, Phoneme, mouth_at, mouth_track, visemes_of

LANGUAGE_LINES = (
    ("en", "bob may buy my map"),
    ("de", "Mama und Papa"),
    ("fr", "bravo, mon ami"),
    ("zh", "妈妈爸爸"),
)


def phonemes_of(symbols: list[str], length: float = 0.09, start: float = 0.2) -> list[Phoneme]:
    return [Phoneme(s, start + i * length, start + (i + 1) * length) for i, s in enumerate(symbols)]


def at(phonemes: list[Phoneme], *times: float) -> torch.Tensor:
    return mouth_at(phonemes, torch.tensor(times, dtype=torch.float64))


def test_there_are_enough_shapes_and_they_differ():
    shapes = {viseme.shape for viseme in VISEMES.values()} - {VISEMES["closed"].shape}
    assert len(shapes) >= 14
    assert all(0 <= value <= 1 for viseme in VISEMES.values() for value in viseme.shape)


def test_symbols_find_their_shapes():
    assert visemes_of("ˈaɪ") == ("open", "spread")
    assert visemes_of("tʃ") == ("postalveolar",)
    assert visemes_of("ph") == visemes_of("p") == visemes_of("m̩") == ("closed",)
    assert visemes_of("") == visemes_of("_:") == ("rest",)
    assert visemes_of("uː") == ("round_close",)
    assert visemes_of("☃") == ("central",)


def test_lips_are_shut_exactly_at_the_centre_of_p_b_m():
    checked = 0
    for language, line in LANGUAGE_LINES:
        spoken = speak(line, language).phonemes
        for phoneme in spoken:
            if phoneme.visemes != ("closed",):
                continue
            times = torch.arange(phoneme.start - 0.03, phoneme.end + 0.03, 0.001, dtype=torch.float64)
            aperture = mouth_at(spoken, times)[:, 0]
            shut = times[aperture == 0]
            assert at(spoken, phoneme.centre)[0, 0] == 0
            assert shut[0] <= phoneme.centre <= shut[-1]
            checked += 1
    assert checked >= 12


def test_the_shut_span_is_centred_between_vowels():
    for symbol in "pbm":
        phonemes = phonemes_of(["ɑ", symbol, "ɑ"])
        times = torch.arange(0.2, 0.47, 0.0005, dtype=torch.float64)
        shut = times[mouth_at(phonemes, times)[:, 0] < 1e-6]
        inside = shut[(shut > phonemes[0].centre) & (shut < phonemes[2].centre)]
        assert abs(inside.mean() - phonemes[1].centre) < 0.001
        assert 0.02 < inside[-1] - inside[0] < 0.08


def test_vowels_open_round_and_spread():
    a, i, u = (at(phonemes_of(["ˈ" + v], 0.2), 0.3)[0] for v in "ɑiu")
    assert a[0] > 0.7 > a[2] and i[1] > a[1] > u[1] and u[2] > 0.5 > i[2]


def test_silence_closes_the_mouth():
    phonemes = [Phoneme("ˈɑ", 0.2, 0.4), Phoneme("", 0.4, 0.8), Phoneme("ˈɑ", 0.8, 1.0)]
    rest = torch.tensor(VISEMES["rest"].shape)
    assert torch.equal(at(phonemes, 0.0, 0.1, 0.5, 0.6, 0.7, 1.1, 5.0), rest.expand(7, 5))
    assert (at(phonemes, 0.3, 0.9)[:, 0] > 0.5).all()
    assert torch.equal(mouth_track([], 9), rest.expand(9, 5))


def test_a_short_pause_inside_a_word_does_not():
    phonemes = [Phoneme("ˈɑ", 0.2, 0.4), Phoneme("", 0.4, 0.44), Phoneme("ˈɑ", 0.44, 0.64)]
    assert at(phonemes, 0.42)[0, 0] > 0.3


def test_the_track_samples_the_curve_at_frame_starts():
    spoken = speak("what a lovely view").phonemes
    track = mouth_track(spoken, 33)
    assert track.shape == (33, 5)
    assert torch.equal(track, mouth_at(spoken, torch.arange(33, dtype=torch.float64) / 25))


def test_a_later_line_moves_the_mouth_by_as_much():
    spoken = speak("what a lovely view").phonemes
    later = [Phoneme(p.symbol, p.start + 0.08, p.end + 0.08) for p in spoken]
    torch.testing.assert_close(mouth_track(later, 35)[2:], mouth_track(spoken, 33), atol=1e-5, rtol=0)


@given(
    st.lists(st.sampled_from(["p", "ˈɑ", "s", "u", "", "tʃ", "ˈaɪ", "ð"]), max_size=8), st.floats(0.03, 0.3)
)
@settings(max_examples=60, deadline=None)
def test_the_curve_is_smooth_and_in_range(symbols, length):
    phonemes = phonemes_of(symbols, length)
    curve = mouth_at(phonemes, torch.arange(0, 3, 0.001, dtype=torch.float64))
    assert curve.min() >= 0 and curve.max() <= 1
    assert (curve[1:] - curve[:-1]).abs().max() < 0.3  # no step within a thousandth of a second
