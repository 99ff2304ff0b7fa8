"""The script: what happens in a clip, drawn from a seed, and its picture, sound and prompt on one clock.

C characters, F frames, S samples.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import pad

from horsekit.clock import duration, frame_count, frame_times, sample_count
from horsekit.media import Clip
from horsekit.prompt import LAYERS, Prompt, with_time
from horsekit.stage import wording
from horsekit.stage.ambience import AMBIENCES, ambience
from horsekit.stage.background import Background
from horsekit.stage.camera import MOVES, SPEEDS, CameraMove
from horsekit.stage.cast import Character, Voice
from horsekit.stage.delivery import DELIVERIES
from horsekit.stage.light import COLOURS, DIRECTIONS, GLOSS, STOPS, Light
from horsekit.stage.lines import lines
from horsekit.stage.record import Truth
from horsekit.stage.render import render
from horsekit.stage.scene import ALONE, PAIR, Scene, default_distance
from horsekit.stage.seeding import choice, generator, uniform
from horsekit.stage.speech import LANGUAGES, SAMPLE_RATE, Speech, speak
from horsekit.stage.visemes import Phoneme, mouth_at, mouth_track
from horsekit.stage.wording import SPLITS

IDENTITIES = {"train": range(0, 1_000_000), "held_out": range(2_000_000, 2_010_000)}
_SILENT_SHARE = 0.08
_ENGLISH_SHARE = 0.64
_PLAIN_SHARE = 0.55  # of lines, that are delivered in no manner of their own
_LATEST_START = 0.25
_AFTER = 0.08  # the mouth is closed again before the clip ends
_TRIES = 12  # lines measured before the shortest one known is taken


@dataclass(frozen=True, eq=False)
class Line:
    """What is said: text, language ("en" ...), its speech, when the speech's 0 s lies in the clip, and in which of
    DELIVERIES."""

    text: str
    language: str
    start: float
    speech: Speech
    delivery: str = "plain"

    @property
    def phonemes(self) -> tuple[Phoneme, ...]:
        """Phonemes at their times in the clip, in seconds."""
        return tuple(
            Phoneme(p.symbol, p.start + self.start, p.end + self.start) for p in self.speech.phonemes
        )


@dataclass(frozen=True, eq=False)
class Script:
    """A clip before it is rendered.

    characters: one or two, the first is [Image 1]; speaker: index of the one who says `line`, which is
    None in a silent clip; mirrored: the first of two characters stands on the right.
    """

    seed: int
    split: str
    frames: int
    characters: tuple[Character, ...]
    identities: tuple[int, ...]
    speaker: int
    line: Line | None
    camera: CameraMove
    light: Light
    background: Background
    ambience: str
    mirrored: bool = False

    @classmethod
    def draw(
        cls,
        seed: int,
        split: str = "train",
        seconds: float = 1.28,
        characters: int = 1,
        cast: Sequence[Character] | None = None,
        speaking: bool | None = None,
        language: str | None = None,
        delivery: str | None = None,
    ) -> "Script":
        """The script of a seed, the same in every process.

        "held_out" uses identities, lines, camera–light combinations and phrasings that "train" never
        does. `cast` gives the characters themselves, `speaking` forces or forbids speech, `language`
        ("en" ...) and `delivery` (of DELIVERIES) fix them. Raises ValueError for another split or delivery, 0 or 3
        characters, or a clip too short for any line.
        """
        if split not in SPLITS:
            raise ValueError(f"no split {split!r}; choose one of {', '.join(SPLITS)}")
        if delivery is not None and delivery not in DELIVERIES:
            raise ValueError(f"no delivery {delivery!r}; choose one of {', '.join(DELIVERIES)}")
        source = generator(seed, f"script {split}")
        pool = IDENTITIES[split]
        count = characters if cast is None else len(cast)
        if count not in (1, 2):
            raise ValueError(f"{count} characters; a clip has one or two")
        identities = tuple(pool[int(uniform(source, 0, len(pool)))] for _ in range(count))
        players = tuple(map(Character.draw, identities)) if cast is None else tuple(cast)
        own = int(uniform(source, 0, 2**31))
        camera = CameraMove.draw(own, distance=default_distance(count))
        allowed = tuple(
            d for d in range(len(DIRECTIONS)) if held_out(camera.kind, d) == (split == "held_out")
        )
        frames = frame_count(seconds)
        speaker = int(uniform(source, 0, count))
        speaks = uniform(source, 0, 1) >= _SILENT_SHARE if speaking is None else speaking
        return cls(
            seed,
            split,
            frames,
            players,
            identities if cast is None else (-1,) * count,
            speaker,
            _draw_line(source, split, players[speaker], duration(frames), language, delivery or _manner(seed))
            if speaks
            else None,
            camera,
            replace(Light.draw(own), direction=choice(source, allowed)),
            Background(own),
            choice(source, AMBIENCES),
            mirrored=count == 2 and uniform(source, 0, 1) < 0.5,
        )

    def twin(self, moving: bool = True) -> "Script":
        """The same scene but for one term of its light or, where something is `moving`, of its camera.

        All else being the same, what differs between the two is what that term means. It is no combination that is
        held out from the script's split.
        """
        source = generator(self.seed, f"twin {self.split}")
        while True:
            term = choice(source, _TWIN_TERMS if moving else _LIGHT_TERMS)
            if term == "move":
                other = replace(self, camera=self._alike(source))
            elif term == "speed":
                other = replace(
                    self, camera=replace(self.camera, speed=_another(source, SPEEDS, self.camera.speed))
                )
            else:
                value = _another(source, _LIGHT_TERMS_OF[term], getattr(self.light, term))
                other = replace(self, light=replace(self.light, **{term: value}))
            if held_out(other.camera.kind, other.light.direction) == (self.split == "held_out"):
                return other

    def voiced(self) -> "Script":
        """The same scene and line, in a voice that may be taken for the speaker's."""
        speaker = self.characters[self.speaker]
        voice = speaker.voice.near(generator(self.seed, f"voice twin {self.split}"))
        cast = list(self.characters)
        cast[self.speaker] = replace(speaker, voice=voice)
        line = self.line
        if line is not None:
            line = replace(line, speech=_spoken(line.text, line.language, voice, line.delivery))
        return replace(self, characters=tuple(cast), line=line)

    def delivered(self, delivery: str) -> "Script":
        """The same scene and line, spoken in another of DELIVERIES; what no longer fits into the clip is cut off."""
        if self.line is None:
            return self
        voice = self.characters[self.speaker].voice
        speech = _spoken(self.line.text, self.line.language, voice, delivery)
        return replace(self, line=replace(self.line, speech=speech, delivery=delivery))

    def _alike(self, source: torch.Generator) -> CameraMove:
        """A move that differs from this one in how near and far things part, with the same start."""
        axis, _, way = self.camera.kind.partition("_")
        kind = f"{choice(source, _ALIKE[axis])}_{way}".rstrip("_")
        return CameraMove.draw(self.camera.seed, (kind,), default_distance(len(self.characters)))

    @property
    def phonemes(self) -> tuple[Phoneme, ...]:
        """Phonemes at their times in the clip, none in a silent one."""
        return self.line.phonemes if self.line else ()

    @cached_property
    def mouths(self) -> Tensor:
        """Mouth parameters [C, F, 5]; who does not speak keeps the mouth closed."""
        silent = mouth_at((), frame_times(self.frames))
        return torch.stack(
            [
                mouth_track(self.phonemes, self.frames) if index == self.speaker and self.line else silent
                for index in range(len(self.characters))
            ]
        )

    @cached_property
    def waveform(self) -> Tensor:
        """Speech over ambience, [S, 1] float32 at 16 kHz."""
        samples = sample_count(self.frames, SAMPLE_RATE)
        sound = ambience(self.ambience, samples, self.seed)
        if self.line:
            begin = round(self.line.start * SAMPLE_RATE)
            spoken = self.line.speech.waveform[: samples - begin]
            sound[begin : begin + len(spoken)] += spoken
        return sound.clamp(-1, 1)[:, None]

    @cached_property
    def scene(self) -> Scene:
        """What the renderer needs besides the mouths."""
        speaking = torch.zeros(len(self.characters), self.frames)
        if self.line:
            times = frame_times(self.frames) - self.line.start
            speaking[self.speaker] = (times >= self.line.speech.start) & (times < self.line.speech.end)
        scene = Scene.compose(
            self.characters, self.frames, self.camera, self.light, self.background, speaking, self.seed
        )
        places = ALONE if len(self.characters) == 1 else PAIR[::-1] if self.mirrored else PAIR
        return replace(scene, placements=places)

    def layers(self, seed: int = 0, references: bool = True) -> dict[str, str]:
        """All layers in words that `seed` varies; without references, characters are described."""
        source = generator(self.seed, f"words {self.split} {seed}")
        full, short = self._names(source, references)
        order = (1, 0) if self.mirrored else range(len(full))
        language = LANGUAGES[self.line.language][1] if self.line else ""
        delivery = self.line.delivery if self.line else "plain"
        text = self.line.text if self.line else None
        who = short[self.speaker]
        return {
            "subject": wording.subject(tuple(full[i] for i in order), source, self.split),
            "action": wording.action(who, self.line is not None, source, self.split),
            "dialogue": wording.dialogue(who, text, language, delivery, source, self.split),
            "camera": wording.camera(self.camera, source, self.split),
            "light": wording.light(self.light, source, self.split),
            "sound": wording.sound(self.ambience, source, self.split),
            "setting": wording.setting(self.background, source, self.split),
        }

    def prompt(
        self,
        seed: int = 0,
        references: bool = True,
        timed: bool = False,
        always: Collection[str] = (),
    ) -> str:
        """The clip as a prompt of some 25 to 60 words: a layer is left out now and then, the order varies.

        timed: the spoken line with the time at which it is said; always: layers that are not left out.
        """
        layers = self.layers(seed, references)
        if timed and self.line:
            speech = self.line.speech
            times = (self.line.start + speech.start, self.line.start + speech.end)
            layers["dialogue"] = with_time(layers["dialogue"], *times)
        source = generator(self.seed, f"order {seed}")
        kept = [name for name in LAYERS if uniform(source, 0, 1) >= _LEFT_OUT[name] or name in always]
        unnamed = not references or len(self.characters) == 2 or self.line is None
        if unnamed:  # no other layer would tell who is meant
            kept = ["subject", *(name for name in kept if name != "subject")]
        if uniform(source, 0, 1) < 0.3:
            kept = [kept[i] for i in torch.randperm(len(kept), generator=source).tolist()]
        return Prompt.of({name: layers[name] for name in kept}).text(tuple(kept))

    def _names(self, source: torch.Generator, references: bool) -> tuple[list[str], list[str]]:
        """What each character is called at first, and what later."""
        count = len(self.characters)
        if not references:
            full = [wording.description(c, source, 4 if count == 1 else 2) for c in self.characters]
            side = ("right", "left") if self.mirrored else ("left", "right")
            return full, ["the character"] if count == 1 else [f"the character on the {s}" for s in side]
        short = [f"[Image {i + 1}]" for i in range(count)]
        if uniform(source, 0, 1) < 0.3:
            return [
                f"{name}, {wording.description(c, source, 2 if count == 1 else 1)},"
                for name, c in zip(short, self.characters, strict=True)
            ], short
        form = choice(source, ("{}", "{}", "{}", "the character in {}", "the one in {}"))
        return [form.format(name) for name in short], short


# moves that look alike at first: by which way the picture goes, and not by how near and far part
_ALIKE = {
    "static": ("handheld",),
    "handheld": ("static",),
    "pan": ("truck", "orbit"),
    "truck": ("pan", "orbit"),
    "orbit": ("pan", "truck"),
    "tilt": ("crane",),
    "crane": ("tilt",),
    "dolly": ("zoom",),
    "zoom": ("dolly",),
}
_LIGHT_TERMS_OF = {
    "gloss": tuple(GLOSS),
    "direction": tuple(range(len(DIRECTIONS))),
    "key_to_fill": tuple(STOPS),
    "colour": tuple(COLOURS),
}
# gloss shows least, so it comes oftener
_LIGHT_TERMS = ("gloss", "gloss", "direction", "key_to_fill", "colour")
_TWIN_TERMS = ("move", "move", "move", "move", "speed", *_LIGHT_TERMS)

_LEFT_OUT = {
    "subject": 0.35,
    "action": 0.5,
    "dialogue": 0.0,  # the words spoken are never left to guess
    "camera": 0.06,
    "light": 0.1,
    "sound": 0.12,
    "setting": 0.3,
}


def held_out(move: str, direction: int) -> bool:
    """Whether a camera move under a light from that direction is kept from training: one of eight is."""
    return (3 * MOVES.index(move) + direction) % len(DIRECTIONS) == 0


def _another(source: torch.Generator, values: Collection, but: object) -> object:
    return choice(source, tuple(value for value in values if value != but))


def _draw_line(
    source: torch.Generator,
    split: str,
    character: Character,
    seconds: float,
    language: str | None,
    delivery: str,
) -> Line:
    """A line that fits as the character speaks it: as it is measured, never stretched."""
    others = [name for name in LANGUAGES if name != "en"]
    drawn = "en" if uniform(source, 0, 1) < _ENGLISH_SHARE else choice(source, others)
    language = language or drawn
    start = round(uniform(source, 0.0, _LATEST_START) * SAMPLE_RATE) / SAMPLE_RATE
    room = seconds - _AFTER
    pool = lines(language, split)
    order = [pool[i] for i in torch.randperm(len(pool), generator=source).tolist()]
    joined = (
        1 if seconds <= 2 else max(2, int(seconds / 1.28))
    )  # lines, so that a long clip is not half silent
    texts = [", ".join(order[k : k + joined]) for k in range(len(order) - joined + 1)]
    by_length = sorted(pool, key=len)
    for text in (*texts[:_TRIES], *by_length[:_TRIES]):
        speech = _spoken(text, language, character.voice, delivery)
        if speech.end <= room - start:
            return Line(text, language, start, speech, delivery)
        if speech.end <= room:
            latest = int((room - speech.end) * SAMPLE_RATE) / SAMPLE_RATE
            return Line(text, language, latest, speech, delivery)
    raise ValueError(f"no line of {language!r} fits into {seconds:.2f} s; make the clip longer")


def _manner(seed: int) -> str:
    """The delivery of a script's line, from a stream of its own, so that all else of a seed stays as it was."""
    source = generator(seed, "delivery")
    return "plain" if uniform(source, 0, 1) < _PLAIN_SHARE else choice(source, tuple(DELIVERIES)[1:])


def _spoken(text: str, language: str, voice: Voice, delivery: str) -> Speech:
    return speak(text, language, voice.variant, round(voice.pitch), voice.rate, DELIVERIES[delivery])


def voice_sample(
    voice: Voice, seed: int, split: str, seconds: float, without: str = "", language: str | None = None
) -> Tensor:
    """Some speech [S] at 16 kHz by which a voice is known: lines of a split, none in `without`.

    language: of all lines, drawn unless told.
    """
    source = generator(seed, f"voice sample {split}")
    drawn = choice(source, tuple(LANGUAGES))
    language = language or drawn
    pool = [line for line in lines(language, split) if line not in without]
    samples = round(seconds * SAMPLE_RATE)
    waveform = torch.zeros(0)
    for index in torch.randperm(len(pool), generator=source).tolist():
        if len(waveform) >= samples:
            break
        speech = _spoken(pool[index], language, voice, "plain")
        waveform = torch.cat([waveform, speech.waveform])
    return pad(waveform, (0, max(0, samples - len(waveform))))[:samples]


def stage(script: Script, size: int = 64, device: torch.device | str = "cpu") -> tuple[Clip, Truth]:
    """Render a script: its clip at 25 fps with sound, and the exact truth about it."""
    return stage_batch([script], size, device)[0]


def stage_batch(
    scripts: Sequence[Script], size: int = 64, device: torch.device | str = "cpu"
) -> list[tuple[Clip, Truth]]:
    """Render several scripts together, which is faster than one by one."""
    views = render([s.scene for s in scripts], [s.mouths for s in scripts], size, device=device)
    return [
        (Clip(view.frames, script.waveform, sample_rate=SAMPLE_RATE), Truth.of(script, view))
        for script, view in zip(scripts, views, strict=True)
    ]
