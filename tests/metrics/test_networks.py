"""Networks that the user brings: simple ones, whose answers are known."""

import math

import pytest
import torch
from torch import nn

from horsekit.media import Clip, Picture, Sound
from horsekit.metrics.networks import face_similarity, load_network, mfcc, syncnet_score


class MeanColour(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


class Brightness(nn.Module):
    """The middle frame's brightness, as far as it differs from grey, on a circle."""

    def forward(self, x):
        angle = x[:, :, 2].mean((1, 2, 3)) / 255 * math.pi
        return torch.stack([angle.cos(), angle.sin()], 1)


class Loudness(nn.Module):
    """The middle window's log energy, between that of silence and of full scale, on a circle."""

    def forward(self, x):
        angle = ((x[:, 0, 0, 8:12].mean(1) - 10) / 15).clamp(0, 1) * math.pi
        return torch.stack([angle.cos(), angle.sin()], 1)


def saved(module: nn.Module, example: torch.Tensor, path) -> nn.Module:
    batch = {0: torch.export.Dim("batch", min=1, max=4096)}
    torch.export.save(torch.export.export(module, (example,), dynamic_shapes=(batch,)), path)
    return path


def flat(colour: tuple[int, int, int], frames: int = 1) -> torch.Tensor:
    return torch.tensor(colour, dtype=torch.uint8).expand(frames, 32, 32, 3).clone()


def test_face_similarity_is_the_mean_cosine(tmp_path):
    network = load_network(saved(MeanColour(), torch.zeros(2, 3, 112, 112), tmp_path / "face.pt2"), "face")
    red, green = (255, 127, 127), (127, 255, 127)
    clip = Clip.silent(torch.cat([flat(red, 3), flat(green, 1)]))
    same = face_similarity(clip, [Picture(flat(red)[0])], network)
    assert same == pytest.approx(0.75, abs=0.01)
    both = face_similarity(clip, [Picture(flat(red)[0]), Picture(flat(green)[0])], network)
    assert both == pytest.approx(0.5, abs=0.01)
    with pytest.raises(ValueError, match="no pictures"):
        face_similarity(clip, [], network)


@pytest.mark.parametrize("late", [-3, 0, 4])
def test_syncnet_finds_an_offset_in_whole_frames(late, tmp_path):
    lips = load_network(saved(Brightness(), torch.zeros(2, 3, 5, 224, 224), tmp_path / "lips.pt2"), "lips")
    sound = load_network(saved(Loudness(), torch.zeros(2, 1, 13, 20), tmp_path / "sound.pt2"), "sound")
    level = torch.rand(40, generator=torch.Generator().manual_seed(0))
    frames = (level * 255).byte()[:, None, None, None].expand(-1, 16, 16, 3).clone()
    energy = (level.roll(late) * 15 + 10).exp()
    tone = torch.sin(torch.arange(40 * 640) * 1.7)
    loud = (energy / 400 * 2).sqrt().repeat_interleave(640) * tone / 32768 / 1.5
    score = syncnet_score(Clip(frames, loud[:, None]), lips, sound)
    assert score.offset == -late and score.confidence > 0.1 and score.distance > 0


def test_cepstra_hold_the_energy_first_and_one_row_every_ten_milliseconds():
    tone = 0.5 * torch.sin(torch.arange(16_000) * 2 * math.pi * 1000 / 16_000)
    loud, soft = mfcc(Sound(tone[:, None], 16_000)), mfcc(Sound(tone[:, None] / 10, 16_000))
    assert loud.shape == (99, 13)
    torch.testing.assert_close(loud[:, 0] - soft[:, 0], torch.full((99,), math.log(100)), atol=1e-3, rtol=0)
    torch.testing.assert_close(loud[5:-5, 1:], soft[5:-5, 1:], atol=0.6, rtol=0)


def test_a_network_that_is_not_there_is_named_with_the_remedy(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.pt2.*torch\.export\.save.*ArcFace"):
        load_network(tmp_path / "nowhere.pt2", "face")
    (tmp_path / "broken.pt2").write_bytes(b"no network")
    with pytest.raises(ValueError, match=r"broken\.pt2 is no exported network.*SyncNet"):
        load_network(tmp_path / "broken.pt2", "sound")
    torch.save({"weights": torch.zeros(1)}, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match=r"weights\.pt holds no exported network.*in 0\.\.255"):
        load_network(tmp_path / "weights.pt", "lips")
    with pytest.raises(ValueError, match="no kind of network 'nose'"):
        load_network(tmp_path / "broken.pt2", "nose")


def test_a_clip_that_syncnet_cannot_read_is_named():
    with pytest.raises(ValueError, match="30 frames a second"):
        syncnet_score(Clip.silent(flat((0, 0, 0), 30), fps=30), Brightness(), Loudness())
    with pytest.raises(ValueError, match="5 frames"):
        syncnet_score(Clip.silent(flat((0, 0, 0), 5)), Brightness(), Loudness())
