"""Where lips are in latents, and along which directions they open."""

import pytest
import torch

from horsekit.dataset.lips import FILE, lip_directions, lip_shares, load_lips, main
from horsekit.tokenizers import load_tokenizers

TOKENIZERS = "horsekit/weights/horse-tiny"


def test_lips_belong_to_the_latents_that_show_them():
    still = torch.tensor([0.5, 0.625, 0.25, 0.1]).expand(
        1, 1, 4
    )  # two columns of the third row, half in each
    shares = lip_shares(still, (1, 4, 4))
    wanted = torch.zeros(1, 4, 4)
    wanted[0, 2, 1:3] = 0.5
    torch.testing.assert_close(shares, wanted)
    moved = still.repeat(1, 5, 1)
    moved[0, 3:, 0] = 0.875  # for two of the four later frames in the last column
    later = lip_shares(moved, (2, 4, 4))[1]
    torch.testing.assert_close(later[2], torch.tensor([0.0, 0.25, 0.25, 0.5]))
    assert later.sum() == later[2].sum()


def test_directions_find_what_opens_the_lips():
    """Of six channels one follows the aperture, with a sign and a size of its own, and all have noise."""
    source = torch.Generator().manual_seed(0)
    aperture = torch.rand(64, 17, generator=source)
    video = 0.1 * torch.randn(64, 5, 2, 2, 6, generator=source) + torch.randn(
        64, 1, 1, 1, 6, generator=source
    )
    focus = torch.zeros(64, 5, 2, 2)
    focus[:, :, 1, 0] = 0.8
    steps = aperture[:, 1:].unflatten(1, (4, 4))
    video[:, 1:, 1, 0, 2] -= 3 * steps[..., 0]
    video[:, 1:, 1, 0, 5] += 2 * steps[..., 3]
    directions, explained = lip_directions(video, focus, aperture)
    assert explained[0] > 0.9 and explained[3] > 0.8 and explained[1] < 0.2
    assert directions[:, 0].abs().argmax() == 2 and directions[2, 0] < 0
    assert directions[:, 3].abs().argmax() == 5 and directions[5, 3] > 0
    lips = video[:, 1:, 1, 0] - video[:, 1:, 1, 0].mean(1, keepdim=True)
    assert (lips @ directions[:, 0]).std() == pytest.approx(1, abs=0.05)


@pytest.mark.slow
def test_the_command_fits_and_writes_what_training_reads(tmp_path, monkeypatch, capsys):
    import shutil

    folder = tmp_path / "model"
    for part in ("text", "video", "audio"):
        shutil.copytree(f"{TOKENIZERS}/{part}", folder / part)
    tokenizers = load_tokenizers(folder)
    with pytest.raises(ValueError, match="is not there; fit them"):
        load_lips(folder, tokenizers)
    monkeypatch.setattr("sys.argv", ["lips", str(folder), "--clips", "48"])
    main()
    assert "% of how lips open" in capsys.readouterr().out
    assert load_lips(folder, tokenizers).shape == (96, 4)

    from safetensors.torch import load_file, save_file

    stored = load_file(folder / FILE)
    save_file({**stored, "digest": stored["digest"].flip(0)}, folder / FILE)
    with pytest.raises(ValueError, match="another video tokenizer"):
        load_lips(folder, tokenizers)


def test_the_shipped_directions_are_those_of_the_shipped_tokenizer():
    from pathlib import Path

    directions = load_lips(Path(TOKENIZERS), load_tokenizers(TOKENIZERS))
    assert directions.shape == (96, 4) and directions.isfinite().all()
