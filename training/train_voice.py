"""Train the reader of voices of horsekit.metrics: `python training/train_voice.py`.

Has voices of the training cast speak (kept in --cache, so that a second run starts at once), trains for --minutes,
measures on the held-out cast and writes horsekit/weights/reader/. B samples, N moments, D numbers of a moment.
"""

import argparse
import json
import time
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm.auto import tqdm

from horsekit.media import Sound, replacing
from horsekit.metrics import cast
from horsekit.metrics.voice import BANDS, FILE, VoiceReader, voice_moments
from horsekit.stage import Character, Script
from horsekit.stage.script import voice_sample
from horsekit.stage.speech import SAMPLE_RATE

CARD = "voice.json"
CLIPS, LINES = 6, 6  # of each voice: clips with one line and what else is heard, and lines alone
LINE_SECONDS, KNOWN_SECONDS = 1.2, 4.0
MOMENTS = 128  # of a sample, at most
CHOIR = 20  # voices to tell apart
TEST_CLIPS = 4  # of each held-out voice
SCALE, MARGIN = 20.0, 0.15  # of the softmax over cosines (CosFace, arXiv 1801.09414)
LEAST = 60  # moments of a crop


def heard(number: int, split: str, clips: int) -> list[Tensor]:
    """Moments of a voice of a split, as clips have it and then by lines alone."""
    torch.set_num_threads(1)
    who = cast()[number] if split == "held_out" else Character.draw(number)
    scripts = (Script.draw(number * clips + k, split, cast=[who], speaking=True) for k in range(clips))
    lines = (voice_sample(who.voice, number * LINES + k, split, LINE_SECONDS)[:, None] for k in range(LINES))
    waveforms = [*(script.waveform for script in scripts), *lines]
    found = (voice_moments(Sound(waveform, SAMPLE_RATE)) for waveform in waveforms)
    return [moments[:MOMENTS] for moments in found if moments is not None]


def spoken(voices: int, cache: Path) -> dict[str, Tensor]:
    """moments [S, MOMENTS, D] of the first voices of the training cast, padded with zeros, and whose each is, [S]."""
    path = cache / f"voices-{voices}.safetensors"
    if not path.exists():
        with get_context("spawn").Pool() as pool:
            takes = pool.imap(partial(heard, split="train", clips=CLIPS), range(voices))
            # copies at once: a tensor of another process holds a file open, and there is a most to these
            padded = ([F.pad(take.half(), (0, 0, 0, MOMENTS - len(take))) for take in row] for row in takes)
            rows = [*tqdm(padded, total=voices, desc="speak", unit="voice")]
        owners = [number for number, row in enumerate(rows) for _ in row]
        with replacing(path) as draft:
            save_file({"moments": torch.stack([*chain(*rows)]), "voice": torch.tensor(owners)}, draft)
    return load_file(path)


def cropped(moments: Tensor, source: torch.Generator) -> Tensor:
    """A stretch of the moments [B, N, D], other for every batch, in a room and with a noise of each sample's own."""
    length = int(torch.randint(LEAST, MOMENTS + 1, (), generator=source))
    first = int(torch.randint(0, MOMENTS - length + 1, (), generator=source))
    part = moments[:, first : first + length].clone()
    count = len(part)
    room = 0.1 * torch.randn(count, 1, BANDS, generator=source)
    part[..., :BANDS] += room + 0.1 * torch.randn(count, length, BANDS, generator=source)
    return part


def train(data: dict[str, Tensor], minutes: float, batch_size: int, rate: float, seed: int) -> VoiceReader:
    """A reader whose points of one voice are nearer to its own direction than to all others', by a margin."""
    source = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    reader, count = VoiceReader().train(), int(data["voice"].max()) + 1
    directions = nn.Parameter(torch.randn(count, reader.out[-1].out_features, generator=source))
    optimizer = torch.optim.AdamW([*reader.parameters(), directions], lr=rate, weight_decay=0.05)
    begun, used, step = time.monotonic(), 0.0, 0
    with tqdm(total=100, desc="train", unit="%") as bar:
        while used < 1:
            for group in optimizer.param_groups:
                group["lr"] = rate * min(1, (step + 1) / 50, 2 * (1 - used))
            rows = torch.randint(len(data["voice"]), (batch_size,), generator=source)
            voice = data["voice"][rows]
            points = reader(cropped(data["moments"][rows].float(), source))
            likeness = points @ F.normalize(directions, dim=1).T - MARGIN * F.one_hot(voice, count)
            loss = F.cross_entropy(SCALE * likeness, voice)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step, used = step + 1, min(1.0, (time.monotonic() - begun) / 60 / minutes)
            bar.update(int(100 * used) - bar.n)
            bar.set_postfix(loss=f"{loss.item():.3f}", steps=step)
    return reader.eval()


@torch.inference_mode()
def measure(reader: VoiceReader, voices: int) -> dict[str, float]:
    """How many of the first held-out voices are found among CHOIR, in percent, in clips and by a line alone."""
    known, clips, lines = [], [], []
    for number, who in enumerate(tqdm(cast()[:voices], desc="measure", unit="voice")):
        sample = voice_sample(who.voice, 1_000_000 + number, "held_out", KNOWN_SECONDS)[:, None]
        known.append(reader(voice_moments(Sound(sample, SAMPLE_RATE))[None])[0])
        takes = [reader(moments[None])[0] for moments in heard(number, "held_out", TEST_CLIPS)]
        clips += [(number, point) for point in takes[:TEST_CLIPS]]
        lines += [(number, point) for point in takes[TEST_CLIPS:]]

    def found(takes: list[tuple[int, Tensor]]) -> float:
        hits = 0
        for number, point in takes:
            first = number // CHOIR * CHOIR
            hits += int((torch.stack(known[first : first + CHOIR]) @ point).argmax()) == number - first
        return round(100 * hits / len(takes), 1)

    return {"found in clips, %": found(clips), "found by a line, %": found(lines)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--voices", type=int, default=2500, help="to learn from (default: %(default)s)")
    parser.add_argument(
        "--held-out", type=int, default=100, help="voices to measure by (default: %(default)s)"
    )
    parser.add_argument("--minutes", type=float, default=14.0, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=96)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=Path("runs/voice"))
    parser.add_argument("--out", type=Path, default=Path("horsekit/weights/reader"))
    options = parser.parse_args()
    data = spoken(options.voices, options.cache)
    reader = train(data, options.minutes, options.batch_size, options.rate, options.seed)
    card = {"voices": options.voices, "minutes": options.minutes, **measure(reader, options.held_out)}
    with replacing(options.out / FILE) as draft:
        save_file({name: tensor.half().contiguous() for name, tensor in reader.state_dict().items()}, draft)
        draft.chmod(0o644)
    with replacing(options.out / CARD) as draft:
        draft.write_text(json.dumps(card, indent=2) + "\n")
    print(json.dumps(card, indent=2))


if __name__ == "__main__":
    main()
