"""Latents of rendered clips, shard by shard: `python -m horsekit.dataset.stage FOLDER --clips 8192`.

With `--stills` they are single frames: a still costs a small part of a clip to render and to train on, and shows as
much of who is who.
"""

import argparse
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor
from tqdm.auto import tqdm

from horsekit import clock
from horsekit.dataset.latents import shard_size, write_shard
from horsekit.dataset.lips import latent_means, lip_shares
from horsekit.dataset.sample import LatentSample, Twins
from horsekit.media import replacing
from horsekit.prompt import DIRECTIONS, Prompt
from horsekit.stage import Script, portrait, random_mouths, render, stage_batch
from horsekit.stage.script import voice_sample
from horsekit.stage.seeding import generator
from horsekit.tokenizers import Tokenizers, load_tokenizers

SHARD = 128
PLAN = "plan.json"
VOICE_SECONDS = 1.6
RENDERED_TOGETHER = 16


@dataclass(frozen=True)
class StagePlan:
    """What to render: clip i of a plan is a pure function of (first_seed + i, split, seconds, size).

    stills: one frame each, without sound, the mouth open or shut at random; portraits: reference pictures per
    character; wordings: prompts per clip, the last with the time of its line, or of a still with the characters alone;
    pairs: share of clips with two
    characters in the shot; twins: after each its twin, which differs in one `term` of camera or light, of stills in one
    of light (`Script.twin`), or in the `voice` that says its line (`Script.voiced`); `clips` then counts both as one.
    Errors: ValueError for a share outside 0 to 1, unknown twins, or stills in two voices.
    """

    folder: Path
    tokenizers: Path
    clips: int
    first_seed: int = 0
    split: str = "train"
    seconds: float = 1.28
    size: int = 64
    stills: bool = False
    portraits: int = 4
    wordings: int = 3
    pairs: float = 0.15
    twins: Twins = ""

    def __post_init__(self) -> None:
        if not 0 <= self.pairs <= 1:
            raise ValueError(f"pairs is {self.pairs}; it is a share, between 0 and 1")
        if self.twins not in get_args(Twins):
            raise ValueError(f"twins is {self.twins!r}; choose term or voice, or leave it out")
        if self.stills and self.twins == "voice":
            raise ValueError("stills have no voices to tell apart; leave stills or twins out")

    @property
    def always(self) -> tuple[str, ...]:
        """The layers that prompts never leave out: those by which twins may be told apart."""
        return DIRECTIONS if self.twins == "term" else ()


def build(plan: StagePlan, workers: int | None = None) -> None:
    """Render and encode every shard that is not there yet, or was asked for with fewer clips, with a progress bar.

    workers: processes (None: one for each core).
    """
    tokenizers = load_tokenizers(plan.tokenizers)
    check_plan(plan.folder, tokenizers, plan.size, plan.seconds, plan.twins, plan.split)
    missing = []
    for number in range(-(-plan.clips // SHARD)):
        wanted, path = len(_seeds(plan, number)) * (2 if plan.twins else 1), shard_path(plan, number)
        if shard_size(path) < wanted:
            shutil.rmtree(path, ignore_errors=True)
            missing.append(number)
    if not missing:
        return
    workers = min(workers or os.cpu_count() or 1, len(missing))
    with get_context("spawn").Pool(workers) as pool, tqdm(total=len(missing) * SHARD, unit="clip") as bar:
        for _ in pool.imap_unordered(_build_shard, [(plan, k) for k in missing]):
            bar.update(SHARD)


def check_plan(
    folder: Path,
    tokenizers: Tokenizers,
    size: int,
    seconds: float,
    twins: Twins = "",
    split: str | None = None,
) -> None:
    """Write down what a folder's latents depend on, or compare; split: None where that of what is there will do.

    Errors: ValueError where they are of another kind.
    """
    wanted = {
        "video": tokenizers.video.digest, "audio": tokenizers.audio.digest, "size": size, "seconds": seconds,
    }  # fmt: skip
    if split is not None:
        wanted["split"] = split
    if twins:
        wanted["twins"] = twins
    listing = folder / PLAN
    if not listing.is_file():
        if split is None:
            return  # nothing is there
        with replacing(listing) as draft:
            draft.write_text(json.dumps(wanted) + "\n")
        return
    found = {"split": split, **json.loads(listing.read_text())}  # older listings do not name it
    odd = sorted(key for key in wanted if found.get(key) != wanted[key])
    if odd:
        raise ValueError(
            f"{folder} holds latents of another kind ({odd[0]} is {found.get(odd[0])}, here {wanted[odd[0]]}); "
            "name another folder, or delete this one"
        )


def shard_path(plan: StagePlan, number: int) -> Path:
    return plan.folder / f"shard-{plan.first_seed + number * SHARD:08d}"


def _build_shard(job: tuple[StagePlan, int]) -> None:
    plan, number = job
    torch.set_num_threads(1)
    write_shard(
        _samples(plan, _seeds(plan, number), load_tokenizers(plan.tokenizers)), shard_path(plan, number)
    )


def _seeds(plan: StagePlan, number: int) -> range:
    first = plan.first_seed + number * SHARD
    return range(first, min(first + SHARD, plan.first_seed + plan.clips))


@torch.inference_mode()
def _samples(plan: StagePlan, seeds: range, tokenizers: Tokenizers) -> Iterator[LatentSample]:
    for start in range(0, len(seeds), RENDERED_TOGETHER):
        chunk = seeds[start : start + RENDERED_TOGETHER]
        scripts = [script for seed in chunk for script in shots(plan, seed)]
        video, audio, boxes = (_still_latents if plan.stills else _clip_latents)(
            scripts, plan.size, tokenizers
        )
        for row, script in enumerate(scripts):
            seed = script.seed
            numbers = [seed * plan.wordings + k for k in range(plan.wordings)]
            yield LatentSample(
                video[row],
                None if audio is None else audio[row],
                _prompts(script, numbers, plan),
                {
                    slot: _portraits(plan, character, seed * 10 + slot, tokenizers)
                    for slot, character in enumerate(script.characters, start=1)
                },
                lip_shares(boxes[row], video.shape[1:4]),
                {} if plan.stills else _voices(plan, script, seed, tokenizers),
                _described(script, numbers[0], plan),
                nearest_subjects(boxes[row], video.shape[1:4]),
            )


def draw(plan: StagePlan, seed: int) -> Script:
    """The script of a seed; whether it has one character or two depends on the seed alone."""
    pair = torch.rand((), generator=torch.Generator().manual_seed(seed)) < plan.pairs
    seconds, speaking = (clock.duration(1), False) if plan.stills else (plan.seconds, None)
    if plan.twins == "voice":
        speaking = True
    return Script.draw(seed, plan.split, seconds, characters=2 if pair else 1, speaking=speaking)


def shots(plan: StagePlan, seed: int) -> tuple[Script, ...]:
    """The script of a seed, and of a plan of twins its twin."""
    script = draw(plan, seed)
    if not plan.twins:
        return (script,)
    return script, script.voiced() if plan.twins == "voice" else script.twin(moving=not plan.stills)


def _clip_latents(
    scripts: list[Script], size: int, tokenizers: Tokenizers
) -> tuple[Tensor, Tensor, list[Tensor]]:
    takes = stage_batch(scripts, size)
    video = tokenizers.video.encode(torch.stack([clip.frames for clip, _ in takes]))
    audio = tokenizers.audio.encode(torch.stack([clip.waveform[:, 0] for clip, _ in takes]))
    return video, audio, [truth.mouth_box / size for _, truth in takes]


def _still_latents(
    scripts: list[Script], size: int, tokenizers: Tokenizers
) -> tuple[Tensor, None, list[Tensor]]:
    mouths = [
        random_mouths(len(script.characters), generator(script.seed, "still"))[:, None] for script in scripts
    ]
    views = render([script.scene for script in scripts], mouths, size)
    video = tokenizers.video.encode(torch.stack([view.frames for view in views]))
    return video, None, [view.mouth_box / size for view in views]


def nearest_subjects(boxes: Tensor, grid: Sequence[int]) -> Tensor:
    """Of each latent of a grid (T, h, w) the slot of the character that it stands nearest to, from left to right.

    boxes: as lip_shares. The characters stand side by side, so that height tells nothing.
    """
    middles = latent_means(boxes[..., 0].T).T  # [characters, T]
    columns = (torch.arange(grid[2]) + 0.5) / grid[2]
    nearest = (columns - middles[..., None]).abs().argmin(0) + 1
    return nearest[:, None].expand(*grid)


def _prompts(script: Script, numbers: Sequence[int], plan: StagePlan) -> tuple[str, ...]:
    """A shot in words, several times over; of twins always with what may tell them apart."""
    *others, last = numbers
    if not plan.stills:
        return (
            *(script.prompt(n, always=plan.always) for n in others),
            script.prompt(last, timed=True, always=plan.always),
        )
    if plan.twins:
        return tuple(_still_prompt(script, n) for n in numbers)
    # of a still the last says no more than who is where: a short way to what the numbers of pictures mean
    return (
        *(_still_prompt(script, n) for n in others),
        Prompt.of({"subject": script.layers(last)["subject"]}).text(),
    )


def _described(script: Script, number: int, plan: StagePlan) -> tuple[str, ...]:
    """A shot in words that do without pictures of its characters."""
    if plan.stills:
        return (_still_prompt(script, number, references=False),)
    return (script.prompt(number, references=False, always=plan.always),)


def _still_prompt(script: Script, number: int, references: bool = True) -> str:
    """What can be seen of a shot in one frame, in words."""
    layers = script.layers(number, references)
    return Prompt.of({name: layers[name] for name in ("subject", "camera", "light", "setting")}).text()


def _portraits(plan: StagePlan, character, seed: int, tokenizers: Tokenizers) -> torch.Tensor:
    pictures = [portrait(character, seed * 100 + k, size=plan.size) for k in range(plan.portraits)]
    return tokenizers.video.encode(torch.stack(pictures)[:, None])[:, 0]


def _voices(plan: StagePlan, script: Script, seed: int, tokenizers: Tokenizers) -> dict[int, Tensor]:
    """Of each character, by its slot, audio latents of another line than the clip's."""
    voices = {}
    for slot, character in enumerate(script.characters, start=1):
        said = script.line.text if script.line else ""
        waveform = voice_sample(character.voice, seed * 10 + slot, plan.split, VOICE_SECONDS, without=said)
        voices[slot] = tokenizers.audio.encode(waveform[None])[0]
    return voices


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokenizers", type=Path, default=Path("horsekit/weights/horse-tiny"))
    parser.add_argument("--clips", type=int, required=True)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--split", choices=("train", "held_out"), default="train")
    parser.add_argument("--seconds", type=float, default=1.28)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--stills", action="store_true", help="single frames without sound")
    parser.add_argument(
        "--pairs", type=float, default=0.15, help="share of clips with two characters in the shot"
    )
    parser.add_argument(
        "--twins",
        choices=[t for t in get_args(Twins) if t],
        default="",
        help="each with a twin that differs in one",
    )
    parser.add_argument("--workers", type=int, help="processes (default: one for each core)")
    options = vars(parser.parse_args())
    workers = options.pop("workers")
    build(StagePlan(**options), workers)


if __name__ == "__main__":
    main()
