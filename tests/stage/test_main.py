import pytest

from horsekit.media import Clip, Picture
from horsekit.stage.__main__ import main


def test_the_stage_shows_itself(tmp_path, capsys):
    main(
        ["--out", str(tmp_path / "shown"), "--clips", "1", "--seconds", "1.28", "--size", "32", "--seed", "5"]
    )
    folder = tmp_path / "shown"
    assert sorted(p.name for p in folder.iterdir()) == ["prompts.txt", "sheet.png", "stage.mp4"]
    clip = Clip.open(folder / "stage.mp4")
    assert len(clip.frames) == 33 and clip.has_sound and clip.waveform.abs().max() > 0.1
    assert Picture.open(folder / "sheet.png").width >= 8 * 64
    assert "[Image 1]" in (folder / "prompts.txt").read_text()


def test_no_clips_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path), "--clips", "0"])
    assert "at least 1" in capsys.readouterr().err
