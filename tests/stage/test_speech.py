import builtins
import hashlib
import subprocess
import sys
import time
from itertools import pairwise

import pytest
import torch

from horsekit.stage.delivery import DELIVERIES
from horsekit.stage.lines import LINES, lines
from horsekit.stage.speech import LANGUAGES, LOUDNESS, SAMPLE_RATE, SpeechError, speak


def digest(text: str, language: str, variant: str) -> str:
    speech = speak(text, language, variant, 60, 170)
    content = speech.waveform.numpy().tobytes() + repr(speech.phonemes).encode()
    return hashlib.sha256(content).hexdigest()


SAME = """
import sys; sys.path.insert(0, {folder!r})
import torch; torch.set_num_threads(1)
from test_speech import digest
print(digest("what now", "de", "m3"), digest("pop up, papa", "en", "f2"))
"""


def test_the_same_words_give_the_same_samples_in_any_order_and_process():
    first = digest("pop up, papa", "en", "f2")
    second = digest("what now", "de", "m3")
    assert digest("pop up, papa", "en", "f2") == first  # other words came between
    time.sleep(1.1)  # espeak seeds itself with the second it starts in
    folder = __file__.rpartition("/")[0]
    run = subprocess.run([sys.executable, "-c", SAME.format(folder=folder)], capture_output=True, text=True)
    assert run.stdout.split() == [second, first], run.stderr


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_speaks_with_ordered_phonemes(language):
    for line in lines(language, "held_out")[:3]:
        speech = speak(line, language)
        edges = [edge for p in speech.phonemes for edge in (p.start, p.end)]
        assert (
            all(b >= a - 1e-9 for a, b in pairwise(edges))
            and edges[-1] <= len(speech.waveform) / SAMPLE_RATE + 1e-3
        )
        assert 0.25 < speech.end - speech.start < 2.4
        assert sum(bool(p.symbol) for p in speech.phonemes) >= 3


def test_sound_lies_where_the_phonemes_say():
    speech = speak("my mamma, my papa", "en", "m3")
    energy = speech.waveform.square()
    inside = torch.zeros(len(energy), dtype=torch.bool)
    for p in speech.phonemes:
        if p.symbol:
            inside[int(p.start * SAMPLE_RATE) : int(p.end * SAMPLE_RATE)] = True
    assert energy[inside].sum() > 0.995 * energy.sum()


def test_a_stop_begins_with_its_closure():
    speech = speak("papa put up a cup", "en", "m1")
    stops = [p for p in speech.phonemes if p.symbol == "p" and p.start > 0.1]
    assert len(stops) >= 2
    loud = speech.waveform.abs().max()
    for stop in stops:
        closure = speech.waveform[int((stop.start + 0.005) * 16000) : int((stop.start + 0.03) * 16000)]
        assert closure.abs().max() < 0.1 * loud


@pytest.mark.parametrize("variant", ["m1", "m5", "f2", "f5"])
def test_loudness_is_steady_and_never_clips(variant):
    speech = speak("the moon is up", "en", variant)
    spoken = speech.waveform[int(speech.start * 16000) : int(speech.end * 16000)]
    assert spoken.square().mean().sqrt().item() == pytest.approx(LOUDNESS, rel=0.1)
    assert speech.waveform.abs().max() < 1


def test_rate_and_pitch_do_what_they_say():
    assert speak("the moon is up", rate=200).end < speak("the moon is up", rate=140).end
    low, high = (_pitch(speak("mamma mia", variant="m1", pitch=p).waveform) for p in (10, 90))
    assert high > 1.2 * low


def test_a_delivery_changes_loudness_pace_and_melody():
    said = {name: speak("the moon is up", variant="m1", delivery=of) for name, of in DELIVERIES.items()}
    level = {name: 20 * speech.waveform.square().mean().sqrt().log10() for name, speech in said.items()}
    assert level["soft"] < level["plain"] - 7 and level["loud"] > level["plain"] + 3
    assert said["slow"].end > 1.2 * said["plain"].end and said["fast"].end < 0.85 * said["plain"].end
    assert said["flat"].end == pytest.approx(said["lively"].end, abs=0.01)
    assert speak("hello", rate=440, delivery=DELIVERIES["fast"]).end > 0  # as fast as espeak goes
    assert said["loud"].waveform.abs().max() < 1


def _pitch(waveform: torch.Tensor) -> float:
    spectrum = torch.fft.rfft(waveform, 65536).abs().square()
    correlation = torch.fft.irfft(spectrum)[40:320]
    return SAMPLE_RATE / (40 + int(correlation.argmax()))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("hello", "tlh"), "tlh"),
        (("hello", "en", "nobody"), "nobody"),
        (("", "en"), "spoken"),
        (("hello", "en", "", 500), "pitch"),
        (("hello", "en", "", 50, 0), "rate"),
    ],
)
def test_what_cannot_be_spoken_is_refused(arguments, words):
    with pytest.raises(SpeechError, match=words):
        speak(*arguments)


def test_without_espeak_the_error_names_the_install_line(monkeypatch):
    real = builtins.__import__

    def missing(name, *rest):
        if name == "espeakng_loader":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(SpeechError, match=r'pip install "horsekit\[speech\]"'):
        speak("hello")


def test_lines_are_many_and_split():
    assert len(LINES["en"]) >= 300 and all(len(LINES[language]) >= 36 for language in LANGUAGES)
    for language in LANGUAGES:
        train, held_out = set(lines(language, "train")), set(lines(language, "held_out"))
        assert not train & held_out and train | held_out == set(LINES[language])
        assert len(LINES[language]) == len(train) + len(held_out) and len(held_out) >= 4
