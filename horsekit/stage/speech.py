"""Speech with its phoneme times, by espeak-ng through the optional package `espeakng-loader`.

S samples.
"""

import ctypes
import threading
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from horsekit.media import Sound, resample
from horsekit.stage.delivery import DELIVERIES, Delivery
from horsekit.stage.visemes import Phoneme

LANGUAGES = {
    "en": ("en-us", "English"),
    "zh": ("cmn", "Mandarin"),
    "yue": ("yue", "Cantonese"),
    "ja": ("ja", "Japanese"),
    "ko": ("ko", "Korean"),
    "de": ("de", "German"),
    "fr": ("fr", "French"),
}
SAMPLE_RATE = 16_000
LOUDNESS = 0.1  # root mean square of the spoken part: -20 dB of full scale

_NATIVE_RATE = 22_050
_SYNCHRONOUS, _PHONEME_EVENTS, _IPA, _DONT_EXIT = 2, 0x0001, 0x0002, 0x8000
_RATE, _PITCH, _MELODY, _UTF8, _PHONEME = 1, 3, 4, 1, 7
_CLOSURE = 0.08  # longest silence, in seconds, that belongs to the stop after it
_STOPS = set("pbtdkɡqcɟʈɖ")


class SpeechError(ValueError):
    """Something that cannot be spoken, or no espeak-ng to speak it; the message names the remedy."""


@dataclass(frozen=True, eq=False)
class Speech:
    """Sound [S] float32 at 16 kHz of steady loudness, and its phonemes, both starting at 0 s."""

    waveform: Tensor
    phonemes: tuple[Phoneme, ...]

    @property
    def sound(self) -> Sound:
        """What is heard."""
        return Sound(self.waveform[:, None], SAMPLE_RATE)

    @property
    def start(self) -> float:
        """Seconds at which the first phoneme begins."""
        return next((p.start for p in self.phonemes if p.symbol), 0.0)

    @property
    def end(self) -> float:
        """Seconds at which the last phoneme ends."""
        return next((p.end for p in reversed(self.phonemes) if p.symbol), 0.0)


def speak(
    text: str,
    language: str = "en",
    variant: str = "",
    pitch: int = 50,
    rate: int = 175,
    delivery: Delivery = DELIVERIES["plain"],
) -> Speech:
    """Say `text` in one of LANGUAGES ("en" ...); `variant` is an espeak voice ("f2"), rate in words a minute.

    The same words, voice and delivery give the same samples in any process. SpeechError: an unknown language or
    variant, a text without a sound in it, or espeak-ng missing.
    """
    if language not in LANGUAGES:
        raise SpeechError(f"language {language!r} is not spoken here; choose one of {', '.join(LANGUAGES)}")
    if not 0 <= pitch <= 99 or not 80 <= rate <= 450:
        raise SpeechError(f"pitch {pitch}, rate {rate}: pitch is 0 to 99, rate 80 to 450 words a minute")
    voice = LANGUAGES[language][0] + (f"+{variant}" if variant else "")
    rate = min(450, max(80, round(rate * delivery.pace)))
    native, marks = _synthesise(text, voice, pitch, rate, delivery.melody)
    phonemes = _phonemes(native, marks)
    if not any(p.symbol for p in phonemes):
        raise SpeechError(
            f"nothing in {text!r} can be spoken in {LANGUAGES[language][1]}; write words of that language"
        )
    waveform = resample(native[:, None], _NATIVE_RATE, SAMPLE_RATE)[:, 0]
    return Speech(_steady(waveform, phonemes, LOUDNESS * 10 ** (delivery.level / 20)), phonemes)


def _steady(waveform: Tensor, phonemes: tuple[Phoneme, ...], loudness: float) -> Tensor:
    """The waveform at a loudness, measured over what is spoken, soft-limited near full scale."""
    spoken = torch.cat(
        [waveform[round(p.start * SAMPLE_RATE) : round(p.end * SAMPLE_RATE)] for p in phonemes if p.symbol]
    )
    scaled = waveform * (loudness / spoken.square().mean().sqrt().clamp(min=1e-6))
    knee = 0.7
    over = (scaled.abs() - knee).clamp(min=0) / (1 - knee)
    return scaled.clamp(-knee, knee) + scaled.sign() * (1 - knee) * torch.tanh(over)


def _phonemes(native: Tensor, marks: list[tuple[float, str]]) -> tuple[Phoneme, ...]:
    """Phonemes from espeak's marks; a stop begins with its closure, which espeak leaves before the mark."""
    total = len(native) / _NATIVE_RATE
    quiet = native.abs() < 0.05 * native.abs().max().clamp(min=1e-6)
    starts = []
    for index, (time, symbol) in enumerate(marks):
        if symbol and unicodedata.normalize("NFD", symbol)[0] in _STOPS and index:
            time -= _closure(quiet, time, min(_CLOSURE, time - starts[-1]))
        starts.append(time)
    ends = [*starts[1:], total]
    symbols = [symbol for _, symbol in marks]
    return tuple(Phoneme(s, a, b) for s, a, b in zip(symbols, starts, ends, strict=True) if b - a > 1e-4)


def _closure(quiet: Tensor, time: float, longest: float) -> float:
    """Seconds of silence right before `time`, at most `longest`."""
    stop = round(time * _NATIVE_RATE)
    before = quiet[max(0, stop - round(longest * _NATIVE_RATE)) : stop].flip(0)
    sounding = (~before).nonzero()
    return (int(sounding[0]) if len(sounding) else len(before)) / _NATIVE_RATE


# --- espeak-ng by ctypes ------------------------------------------------------------------------


class _Identity(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_uint8 * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Identity),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)
_one_at_a_time = threading.Lock()


def _synthesise(
    text: str, voice: str, pitch: int, rate: int, melody: int
) -> tuple[Tensor, list[tuple[float, str]]]:
    """Samples [S] float32 at 22,050 Hz and (seconds, IPA) of every phoneme's beginning ("" is a pause).

    espeak keeps state between utterances (wave phase, random numbers), so the library is loaded afresh
    for each: under a millisecond, and the words before can no longer change a sample.
    """
    chunks: list[bytes] = []
    marks: list[tuple[float, str]] = []

    def receive(samples, count: int, events) -> int:
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, 2 * count))
        index = 0
        while events[index].type != 0:
            event = events[index]
            if event.type == _PHONEME:
                symbol = bytes(event.id.string).split(b"\0")[0].decode("utf-8", "ignore")
                marks.append((event.sample / _NATIVE_RATE, "" if symbol.startswith("(") else symbol))
            index += 1
        return 0

    callback = _Callback(receive)
    path, data = _installed()
    base, _, variant = voice.partition("+")
    if variant and not (data / "voices" / "!v" / variant).is_file():  # espeak would pass it over in silence
        raise SpeechError(
            f"espeak-ng has no voice variant {variant!r}; use one such as 'f2' or 'm3', or none"
        )
    with _one_at_a_time:
        library = _load(path, data, callback)
        try:
            if library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise SpeechError(f"this espeak-ng has no voice {base!r}; update espeakng-loader")
            library.espeak_SetParameter(_RATE, rate, 0)
            library.espeak_SetParameter(_PITCH, pitch, 0)
            library.espeak_SetParameter(_MELODY, melody, 0)
            words = text.encode() + b"\0"
            size = ctypes.c_size_t(len(words))
            library.espeak_Synth(words, size, 0, 1, 0, _UTF8, None, None)
            library.espeak_Synchronize()
        finally:
            _unload(library)
    pcm = torch.frombuffer(bytearray(b"".join(chunks) or b"\0\0"), dtype=torch.int16)
    return pcm.float() / 32768, marks


def _installed() -> tuple[Path, Path]:
    """The library and its data, of the optional package."""
    try:
        import espeakng_loader
    except ImportError as missing:
        raise SpeechError('speech needs espeak-ng: pip install "horsekit[speech]"') from missing
    return Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path())


def _load(path: Path, data: Path, callback) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    options = _PHONEME_EVENTS | _IPA | _DONT_EXIT
    if library.espeak_Initialize(_SYNCHRONOUS, 0, str(data).encode(), options) < 0:
        raise SpeechError('espeak-ng found no data: pip install --force-reinstall "horsekit[speech]"')
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # it starts from the time of day
    library.espeak_SetSynthCallback(callback)
    return library


def _unload(library: ctypes.CDLL) -> None:
    import _ctypes

    library.espeak_Terminate()
    close = getattr(_ctypes, "dlclose", None) or _ctypes.FreeLibrary
    close(library._handle)
