"""Show the stage: `python -m horsekit.stage --out folder --seed 0 --clips 12`."""

import argparse
from pathlib import Path

import torch
from einops import repeat
from tqdm.auto import tqdm

from horsekit.media import Clip, Picture, contact_sheet, replacing
from horsekit.stage.render import portrait
from horsekit.stage.script import Script, stage
from horsekit.stage.wording import SPLITS

_COLUMNS = 8
_SCALE = 4


def main(arguments: list[str] | None = None) -> None:
    """Write sheet.png (a reference picture and frames per clip), stage.mp4 and prompts.txt to a folder."""
    parser = argparse.ArgumentParser(prog="python -m horsekit.stage", description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first clip")
    parser.add_argument("--clips", type=int, default=12, help="how many clips")
    parser.add_argument("--seconds", type=float, default=2.56, help="length of a clip")
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--size", type=int, default=64, help="side of a frame in pixels")
    options = parser.parse_args(arguments)
    if options.clips < 1:
        parser.error(f"--clips is {options.clips}; give at least 1")

    rows, clips, prompts = [], [], []
    for index in tqdm(range(options.clips), desc="staging", unit="clip"):
        seed = options.seed + index
        script = Script.draw(seed, options.split, options.seconds, characters=2 if index % 4 == 3 else 1)
        clip, _ = stage(script, options.size)
        references = [Picture(portrait(c, seed + 1, options.size)) for c in script.characters]
        chosen = torch.linspace(0, script.frames - 1, _COLUMNS - len(references)).round().int().tolist()
        rows.append([*references, *map(clip.picture, chosen)])
        clips.append(clip)
        prompts.append(f"{seed}  {script.prompt()}\n")

    labels = [str(options.seed + index) for index in range(options.clips)]
    contact_sheet(rows, scale=2, labels=labels).save(options.out / "sheet.png")
    frames = torch.cat([clip.frames for clip in clips])
    frames = repeat(frames, "f h w c -> f (h a) (w b) c", a=_SCALE, b=_SCALE).contiguous()
    Clip(frames, torch.cat([clip.waveform for clip in clips])).save(options.out / "stage.mp4")
    with replacing(options.out / "prompts.txt") as temporary:
        temporary.write_text("".join(prompts), encoding="utf-8")
    print(f"{options.out}: sheet.png, stage.mp4, prompts.txt")


if __name__ == "__main__":
    main()
