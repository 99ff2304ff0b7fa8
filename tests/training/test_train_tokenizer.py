"""The tokenizers' script fits what is new, refines what is there, and knows where lips are."""

import json
import sys

import pytest
import torch

from horsekit.tokenizers import VideoTokenizer


@pytest.fixture(scope="module")
def script(open_script):
    """training/train_tokenizer.py as a module."""
    return open_script("train_tokenizer")


def test_a_video_tokenizer_of_the_size_and_width_asked_for_is_fitted_then_refined(
    script, tmp_path, monkeypatch
):
    monkeypatch.setitem(script.HELD_OUT, "video", 2)
    arguments = ["video", "--out", str(tmp_path), "--clips", "4", "--size", "80", "--dim", "24"]
    monkeypatch.setattr(
        sys, "argv", ["train_tokenizer.py", *arguments, "--minutes", "0.03", "--batch-size", "2"]
    )
    script.main()
    fitted = VideoTokenizer.from_pretrained(tmp_path / "video")
    assert fitted.spec.dim == 24
    assert fitted.refiner.leave.weight.abs().max() > 0, "the refiner has moved"
    digest = fitted.digest
    script.main()
    again = VideoTokenizer.from_pretrained(tmp_path / "video")
    assert again.digest == digest, "what is there is refined, and caches stay good"
    assert not torch.equal(again.refiner.leave.weight, fitted.refiner.leave.weight)
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--encoder"])
    script.main()
    learnt = VideoTokenizer.from_pretrained(tmp_path / "video")
    assert learnt.digest != digest, "caches of an encoder that has learnt are stale"
    assert torch.equal(learnt.first.basis, fitted.first.basis)
    monkeypatch.setattr(sys, "argv", [*sys.argv[:-1], "--critic"])
    script.main()
    judged = VideoTokenizer.from_pretrained(tmp_path / "video")
    assert judged.digest == learnt.digest, "a critic teaches the decoder alone"
    assert not torch.equal(judged.refiner.leave.weight, learnt.refiner.leave.weight)
    log = [json.loads(line) for line in (tmp_path.parent / "video.jsonl").read_text().splitlines()]
    assert len(log) == 4 and log[-1]["psnr"] > 5


def test_an_encoder_of_sound_is_not_asked_to_learn(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train_tokenizer.py", "audio", "--encoder"])
    with pytest.raises(SystemExit):
        script.main()
    assert "--encoder is for video" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["audio", "--critic"], ["video", "--critic", "--encoder"]])
def test_a_critic_judges_nothing_but_a_decoder_of_video(script, monkeypatch, capsys, arguments):
    monkeypatch.setattr(sys, "argv", ["train_tokenizer.py", *arguments])
    with pytest.raises(SystemExit):
        script.main()
    assert "--critic is for a video's decoder" in capsys.readouterr().err


def test_a_critic_learns_to_tell_blurred_clips_and_pulls_the_decoder_towards_edges(script):
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    tokenizer = VideoTokenizer(dim=8, width=8, coarse=8, blocks=1, widths=(8, 8, 8)).requires_grad_()
    loss = script.JudgedLoss()
    # stripes that no latent tells of: the decoder, which has learnt nothing, shows a grey picture
    clip = (
        (torch.arange(32) // 2 % 2 * 255).to(torch.uint8)[None, None, None, :, None].expand(4, 5, 32, 32, 3)
    )
    lips = torch.zeros(4, 5, 32, 32, dtype=torch.bool)
    for _ in range(30):
        loss(tokenizer, (clip, lips), generator, 0.0)
    true = clip / 127.5 - 1
    linear = tokenizer.linear_pixels(tokenizer.encode(clip)).detach()
    assert (loss.critic(true, linear).mean() - loss.critic(linear, linear).mean()).item() > 0.5
    value = loss(tokenizer, (clip, lips), generator, 0.0)
    torch.testing.assert_close(value, script.video_error(linear, true, lips))
    value.backward()
    assert tokenizer.refiner.leave.weight.grad.abs().max() > 0
    assert all(p.grad is None for p in tokenizer.analyser.parameters()), "the encoder stays as it is"


def test_lips_are_where_the_boxes_are(script):
    boxes = torch.tensor(
        [[[8.0, 4.0, 4.0, 2.0]], [[2.0, 12.0, 2.0, 4.0]]]
    )  # centre x, centre y, width, height
    lips = script.covered(boxes, 16)
    assert lips.shape == (1, 16, 16)
    assert lips[0, 3:5, 6:10].all() and lips[0, 10:14, 1:3].all()
    assert int(lips.sum()) == 8 + 8


def test_pieces_are_mirrored_with_their_lips(script):
    clips = torch.zeros(3, 33, 16, 16, 3, dtype=torch.uint8)
    lips = torch.zeros(3, 33, 16, 16, dtype=torch.bool)
    clips[:, :, 5, 2], lips[:, :, 5, 2] = 255, True
    sides = set()
    for seed in range(12):
        pieces, shown = script.some_clips((clips, lips), 2, torch.Generator().manual_seed(seed))
        assert torch.equal(pieces[..., 0] > 0, shown)
        sides.add(int(shown[0, 0, 5].int().argmax()))
    assert sides == {2, 13}


def test_a_size_that_patches_do_not_fill_is_refused(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train_tokenizer.py", "video", "--out", str(tmp_path), "--size", "72"])
    with pytest.raises(SystemExit):
        script.main()
    assert "--size is 72; give a multiple of 16" in capsys.readouterr().err
