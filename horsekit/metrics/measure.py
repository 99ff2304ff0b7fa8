"""Every measure of a clip at once, and the figures of many clips.

C clips.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from tqdm.auto import tqdm

from horsekit.media import Clip
from horsekit.metrics.articulation import Articulation, articulation
from horsekit.metrics.binding import Binding
from horsekit.metrics.camera import STEADY, CameraScore, camera_of, camera_score
from horsekit.metrics.delivery import Contrast
from horsekit.metrics.identity import CHANCE, LEAST_FACES, Crowd, Identity, identity_of
from horsekit.metrics.light import LightScore, light_of, light_score, specular_ratio
from horsekit.metrics.reader import Reading, trained
from horsekit.metrics.statistics import Interval, bootstrap, means_of, middle, spearman
from horsekit.metrics.sync import REACH, MouthTrace, Sync, timing
from horsekit.metrics.texture import Texture, texture_of
from horsekit.metrics.voice import Choir, VoiceMatch
from horsekit.metrics.words import word_distance
from horsekit.stage import CameraMove, Character, Light
from horsekit.stage.delivery import OPPOSITES
from horsekit.stage.speech import Speech

FAILED_OFFSET = 1000 * REACH  # ms: what a clip without an offset counts as
NOTHING_HEARD = 1.0  # the distance of a clip without speech from any line


@dataclass(frozen=True)
class Asked:
    """What a clip of one character was asked to show: who it is, how the camera moves and how the light falls.

    shown: the light in the reference picture, which should not be copied; line: what should be heard, in any
    voice; choir, voice: the voices to tell apart, and the number of the one that should be heard.
    """

    character: Character
    camera: CameraMove
    light: Light
    shown: Light | None = None
    line: Speech | None = None
    choir: Choir | None = None
    voice: int = 0


@dataclass(frozen=True)
class Measures:
    """One clip: who is in it, by parameters and (`looks`) by pictures, and how its sound is timed.

    camera, light: against what was asked for, None where nothing was; copied: how much nearer the light is to
    the reference's than to the one asked for, −2 to 2; words: distance from the line asked for, see words;
    articulation: whether the mouth takes the shapes of that line; voice: whether it is the right one.
    """

    identity: Identity
    sync: Sync
    looks: Identity | None = None
    camera: CameraScore | None = None
    light: LightScore | None = None
    copied: float | None = None
    words: float | None = None
    articulation: Articulation | None = None
    texture: Texture | None = None
    voice: VoiceMatch | None = None

    def row(self) -> dict:
        """Plain values, for JSON."""
        parts = {"identity": self.identity, "looks": self.looks}
        seen = {
            name: {**asdict(part), "found": part.found, "margin": part.margin}
            for name, part in parts.items()
            if part is not None
        }
        scores = {
            "camera": self.camera,
            "light": self.light,
            "texture": self.texture,
            "articulation": self.articulation,
            "voice": self.voice,
        }
        seen |= {name: asdict(score) for name, score in scores.items() if score is not None}
        return {**seen, "sync": asdict(self.sync), "copied": self.copied, "words": self.words}


@dataclass(frozen=True)
class Figure:
    """A line of the table: its key and words, its unit, how it is written, and what is to be reached."""

    key: str
    words: str
    unit: str = ""
    form: str = "{:.2f}"
    reach: str = ""


_TOP1 = "≥ 80, or ≥ 90 with 3 references"
FIGURES = (
    Figure("top1", "identity: top-1 of 100", "%", "{:.0f}", _TOP1),
    Figure("top1_pictures", "identity: top-1 of 100, by pictures", "%", "{:.0f}", _TOP1),
    Figure("margin", "identity: margin", "σ", "{:.2f}", "> 0"),
    Figure("error", "identity: error", "σ", "{:.2f}", "≤ 2 × round trip"),
    Figure("drift", "identity: drift of the error", "σ/s", "{:+.3f}", "0"),
    Figure("faces", "clips with a face in view", "%", "{:.0f}", "100"),
    Figure("timed", "sync: clips that can be timed", "%", "{:.0f}", "100"),
    Figure("offset", "sync: mean offset, + is sound early", "ms", "{:+.0f}", "0"),
    Figure("abs_offset", "sync: mean |offset|, timed clips", "ms", "{:.0f}", "≤ 20"),
    Figure("abs_offset_all", "sync: mean |offset|, untimed as 400", "ms", "{:.0f}", "≤ 20"),
    Figure("p95_offset", "sync: p95 |offset|, untimed as 400", "ms", "{:.0f}", "≤ 60"),
    Figure(
        "slope", "sync: median slope, of which clips of 1.3 s show half", "ms/s", "{:+.1f}", "≤ 2 either way"
    ),
    Figure("jitter", "sync: median jitter", "ms", "{:.0f}"),
    Figure("peak", "sync: correlation of mouth and sound", "", "{:.2f}"),
    Figure("closures", "sync: lips shut where /p b m/ is heard", "%", "{:.0f}", "as the renderer"),
    Figure("shapes", "sync: right mouth shape of 3 at phonemes' centres", "%", "{:.0f}", "as the renderer"),
    Figure("words", "words: distance from the line asked for", "", "{:.3f}", "< shuffled"),
    Figure("voice", "voice: the right one of 20", "%", "{:.0f}", "≥ 80"),
    Figure("voice_delivered", "voice: the same, in manners of speaking", "%", "{:.0f}", "≥ 80"),
    Figure("soft", "delivery: softer where asked for, not loud", "%", "{:.0f}", "> shuffled"),
    Figure("slow", "delivery: slower where asked for, not fast", "%", "{:.0f}", "> shuffled"),
    Figure("flat", "delivery: flatter where asked for, not lively", "%", "{:.0f}", "> shuffled"),
    Figure("camera", "camera: the right one of 16 moves", "%", "{:.0f}", "≥ 85"),
    Figure("camera_speed", "camera: the right speed, of right moves", "%", "{:.0f}"),
    Figure("camera_gain", "camera: median gain, way made over asked", "", "{:.2f}", "0.8 to 1.2"),
    Figure("camera_rotation", "camera: mean rotation error", "°", "{:.1f}"),
    Figure("camera_translation", "camera: mean position error over the way", "%", "{:.0f}"),
    Figure("camera_lag", "camera: mean lag", "ms", "{:+.0f}", "0"),
    Figure("light", "light: the right one of 8 sectors", "%", "{:.0f}", "≥ 85"),
    Figure("light_angle", "light: median angle, unusable as 180", "°", "{:.0f}"),
    Figure("light_stops", "light: median key-to-fill error", "stops", "{:.2f}"),
    Figure("light_colour", "light: median colour shift", "Δu′v′", "{:.3f}"),
    Figure("gloss", "texture: rank of shine by gloss asked for", "ρ", "{:.2f}", "≥ 0.8"),
    Figure("outlined", "texture: clips whose outlines can be followed", "%", "{:.0f}", "100"),
    Figure("edge", "texture: jaggedness of outlines", "px", "{:.2f}", "≤ 0.15"),
    Figure("edge_width", "texture: their width, 10 to 90 %", "px", "{:.1f}"),
    Figure("grid", "texture: energy at the patches' borders", "×", "{:.2f}", "1"),
    Figure("flicker", "texture: second difference in time", "/255", "{:.1f}"),
    Figure("copied", "copying: the reference's light over the one asked for", "", "{:+.2f}", "≤ 0"),
    Figure("binding", "two characters: each on its side", "%", "{:.0f}", "≥ 85"),
    Figure("leakage", "two characters: mean leakage, unusable as 0.5", "", "{:.2f}", "≤ 0.15"),
    Figure("astray", "two characters: the same towards bystanders, unusable as 0.5", "", "{:.2f}", "0"),
    Figure("duet", "two characters: the speaker's voice, not the other's", "%", "{:.0f}", "≥ 80"),
)


@dataclass(frozen=True)
class Arm:
    """The measures of C clips that were made in one way, and if any of clips with two characters and in all glosses.

    duets: in each of the pairs with speech, whether the speaker's voice is heard and not the other's; glosses: the
    rank correlation of shine and gloss in each scene that was made matte, normal and oily; contrasts: whether lines
    that were asked for in opposite manners are heard in them, and delivered: whether in those clips the voice is right;
    speakers: whose each of those is.
    """

    clips: tuple[Measures, ...]
    pairs: tuple[Binding, ...] = ()
    duets: tuple[VoiceMatch, ...] = ()
    glosses: tuple[float, ...] = ()
    contrasts: tuple[Contrast, ...] = ()
    delivered: tuple[VoiceMatch, ...] = ()
    speakers: tuple[int, ...] = ()

    def figures(self) -> dict[str, Interval | None]:
        """The value and 95% interval of each of FIGURES, None where no clip has one.

        A clip without a face counts as not found and as an unrelated character; one that cannot be timed
        counts as an offset of 400 ms where the words say so.
        """
        who, when = [m.identity for m in self.clips], [m.sync for m in self.clips]
        looks = [m.looks for m in self.clips if m.looks is not None]
        said = [m.articulation for m in self.clips if m.articulation is not None]
        offsets = [abs(s.offset) if s.usable else FAILED_OFFSET for s in when]
        return {
            "top1": bootstrap([100.0 * i.found for i in who]),
            "top1_pictures": bootstrap([100.0 * i.found for i in looks]),
            "margin": bootstrap(_known(i.margin for i in who)),
            "error": bootstrap([CHANCE if i.error is None else i.error for i in who]),
            "drift": bootstrap(_known(i.drift for i in who)),
            "faces": bootstrap([100.0 * (not i.reason) for i in who]),
            "timed": bootstrap([100.0 * s.usable for s in when]),
            "offset": bootstrap(_known(s.offset for s in when)),
            "abs_offset": bootstrap([abs(s.offset) for s in when if s.usable]),
            "abs_offset_all": bootstrap(offsets),
            "p95_offset": bootstrap(offsets, lambda rows: rows.quantile(0.95, dim=-1)),
            "slope": bootstrap(_known(s.slope for s in when), middle),
            "jitter": bootstrap(_known(s.jitter for s in when), middle),
            "peak": bootstrap(_known(s.peak for s in when)),
            "closures": bootstrap([100.0 * v for v in _known(s.closures for s in said)]),
            "shapes": bootstrap([100.0 * s.shapes for s in said]),
            "words": bootstrap(_known(m.words for m in self.clips)),
            "voice": bootstrap([100.0 * v.found for v in _known(m.voice for m in self.clips)]),
            "voice_delivered": bootstrap(means_of([100.0 * v.found for v in self.delivered], self.speakers)),
            **{
                pair[0]: bootstrap([100.0 * c.right for c in self.contrasts if c.opposites == pair])
                for pair in OPPOSITES
            },
            **self._camera(),
            **self._light(),
            **self._texture(),
            "gloss": bootstrap(self.glosses),
            "binding": bootstrap([100.0 * pair.right for pair in self.pairs]),
            "duet": bootstrap([100.0 * voice.found for voice in self.duets]),
            "leakage": bootstrap([0.5 if p.leakage is None else sum(p.leakage) / 2 for p in self.pairs]),
            "astray": bootstrap(
                [
                    0.5 if p.astray is None else p.astray
                    for p in self.pairs
                    if p.reason or p.astray is not None
                ]
            ),
        }

    def _camera(self) -> dict[str, Interval | None]:
        """A clip whose camera cannot be read counts as a wrong move of gain 0."""
        scores = [m.camera for m in self.clips if m.camera is not None]
        moved = [s for s in scores if s.asked not in STEADY]
        speeds = [100.0 * s.same_speed for s in moved if s.right]
        return {
            "camera": bootstrap([100.0 * s.right for s in scores]),
            "camera_speed": bootstrap(speeds),
            "camera_gain": bootstrap([s.gain or 0.0 for s in moved], middle),
            "camera_rotation": bootstrap(_known(s.rotation for s in moved)),
            "camera_translation": bootstrap([100 * t for t in _known(s.translation for s in moved)]),
            "camera_lag": bootstrap([1000 * t for t in _known(s.lag for s in moved)]),
        }

    def _light(self) -> dict[str, Interval | None]:
        scores = [m.light for m in self.clips if m.light is not None]
        return {
            "light": bootstrap([100.0 * s.right for s in scores]),
            "light_angle": bootstrap([180.0 if s.angle is None else s.angle for s in scores], middle),
            "light_stops": bootstrap([abs(v) for v in _known(s.stops for s in scores)], middle),
            "light_colour": bootstrap(_known(s.colour for s in scores), middle),
            "copied": bootstrap(_known(m.copied for m in self.clips)),
        }

    def _texture(self) -> dict[str, Interval | None]:
        seen = [m.texture for m in self.clips if m.texture is not None]
        return {
            "outlined": bootstrap([100.0 * (t.edge is not None) for t in seen]),
            "edge": bootstrap(_known(t.edge for t in seen)),
            "edge_width": bootstrap(_known(t.width for t in seen)),
            "grid": bootstrap(_known(t.grid for t in seen)),
            "flicker": bootstrap(_known(t.flicker for t in seen)),
        }

    def summary(self) -> dict[str, float | None]:
        """The values of `figures` alone."""
        return {key: interval and interval.value for key, interval in self.figures().items()}

    def confusion(self) -> dict[str, dict[str, int]]:
        """How often each camera move that was asked for was read as which, "unusable" where none was."""
        table: dict[str, dict[str, int]] = {}
        for score in (m.camera for m in self.clips if m.camera is not None):
            row = table.setdefault(score.asked, {})
            made = score.made or "unusable"
            row[made] = row.get(made, 0) + 1
        return table

    def reasons(self) -> dict[str, int]:
        """Why clips were unusable, and how many."""
        parts = [
            (m.identity, m.sync, m.camera, m.light, m.texture, m.articulation, m.voice) for m in self.clips
        ]
        found = [
            part.reason
            for of in (*parts, self.pairs, self.duets, self.delivered)
            for part in of
            if part is not None and part.reason
        ]
        return {reason: found.count(reason) for reason in sorted(set(found))}


def mouth_trace(reading: Reading) -> MouthTrace:
    """The mouth's aperture per frame, or why it cannot be seen."""
    if reading.faces < LEAST_FACES:
        return MouthTrace(reason="no face in view")
    return MouthTrace(reading.aperture)


def sync_of(clip: Clip) -> Sync:
    """The timing of a clip's sound against its speaker's mouth, from pixels and sound alone."""
    return timing(mouth_trace(trained().reader.read(clip.frames)), clip)


def measure(
    clips: Sequence[Clip],
    crowd: Crowd,
    own: Sequence[int] | None = None,
    name: str = "measure",
    asked: Sequence[Asked] | None = None,
) -> Arm:
    """Measure clips against the characters they should show, with a progress bar called `name`.

    own: the number in the crowd of each clip's character, the first for all unless given; asked: the camera and
    the light that each clip should have, which are not measured unless given. ValueError for another count,
    or no clips.
    """
    own = [0] * len(clips) if own is None else list(own)
    asked = [None] * len(clips) if asked is None else list(asked)
    if not clips or not len(own) == len(asked) == len(clips):
        raise ValueError(
            f"{len(own)} characters and {len(asked)} directions for {len(clips)} clips; give one of both for "
            "each, and a clip at least"
        )
    measured = []
    for clip, who, directions in zip(tqdm(clips, desc=name, unit="clip"), own, asked, strict=True):
        reading, fps = trained().reader.read(clip.frames), float(clip.fps)
        mouth = mouth_trace(reading)
        measured.append(
            Measures(
                identity_of(reading, crowd.points, who, fps),
                timing(mouth, clip),
                None if crowd.looks is None else identity_of(reading, crowd.looks, who, fps),
                **({} if directions is None else _directed(clip, mouth, directions)),
            )
        )
    return Arm(tuple(measured))


def gloss_order(clips: Sequence[Clip], character: Character, direction: int) -> float:
    """Spearman's ρ of the shine of one scene's clips, asked for from matte to oily; 0 where one cannot be read."""
    ratios = [specular_ratio(clip, character, camera_of(clip), direction) for clip in clips]
    if None in ratios:
        return 0.0
    return spearman(torch.tensor(ratios), torch.arange(len(ratios)))


def _directed(clip: Clip, mouth: MouthTrace, asked: Asked) -> dict:
    """What was directed, by the names of Measures."""
    motion = camera_of(clip)
    light = light_of(clip, asked.character, motion)
    found = {
        "camera": camera_score(motion, asked.camera),
        "light": light_score(light, asked.light),
        "texture": texture_of(clip, asked.character, motion),
    }
    if asked.shown is not None and light.azimuth is not None:
        shown, wanted = (
            math.cos(math.radians(light.azimuth - 45 * of.direction)) for of in (asked.shown, asked.light)
        )
        found["copied"] = shown - wanted
    if asked.line is not None:
        heard = word_distance(clip.sound, asked.line.sound)
        found["words"] = NOTHING_HEARD if heard is None else heard
        found["articulation"] = articulation(mouth, clip, asked.line)
    if asked.choir is not None:
        found["voice"] = asked.choir.match(clip.sound, asked.voice)
    return found


def _known(values) -> list[float]:
    return [value for value in values if value is not None]
