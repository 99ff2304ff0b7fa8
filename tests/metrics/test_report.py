"""The report, from measures that are known."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch

from horsekit.media import Clip
from horsekit.metrics import Arm, Binding, CameraScore, Identity, LightScore, Measures, Report, Sync


def measures(error: float, offset: float, found: bool = True) -> Measures:
    own, other = (0.4, 0.9) if found else (0.9, 0.4)
    who = Identity(1.0, error, 0.01, own, other, (error**2,) * 3)
    return Measures(who, Sync(offset, 0.8, 1.0, 5.0, ((0.5, offset),), 0.77, 0), who)


FAILED = Measures(Identity(0.0, reason="no face in view in 100% of the frames"), Sync(reason="silent"))
GOOD = Arm(tuple(measures(0.3 + 0.01 * k, 10.0 * (-1) ** k) for k in range(10)))
MIXED = Arm((*GOOD.clips[:9], FAILED))


def test_failures_count_against_every_figure_that_says_so():
    good, mixed = GOOD.summary(), MIXED.summary()
    assert good["top1"] == 100 and mixed["top1"] == 90
    assert good["timed"] == 100 and mixed["timed"] == 90
    assert mixed["abs_offset"] == pytest.approx(10) and mixed["abs_offset_all"] == pytest.approx(49)
    assert good["p95_offset"] == pytest.approx(10) and mixed["p95_offset"] > 100
    assert mixed["error"] > good["error"] + 0.09
    assert good["offset"] == pytest.approx(0) and good["abs_offset"] == pytest.approx(10)
    assert MIXED.reasons() == {"no face in view in 100% of the frames": 1, "silent": 1}


def test_an_arm_of_failures_has_no_numbers_but_its_failures():
    figures = Arm((FAILED, FAILED)).figures()
    assert figures["top1"].value == 0 and figures["timed"].value == 0
    assert figures["offset"] is None and figures["slope"] is None and figures["drift"] is None


def test_an_unread_camera_or_light_counts_as_a_wrong_one():
    read = replace(
        measures(0.3, 10.0),
        camera=CameraScore("pan_left", "pan_left", True, True, 0.9, 1.0, 0.1, 0.0),
        light=LightScore(2, 2, True, 4.0, -0.2, 0.01),
    )
    unread = replace(
        measures(0.3, 10.0),
        camera=CameraScore("pan_left", reason="the picture is blank"),
        light=LightScore(2, reason="the picture is blank"),
    )
    arm = Arm((read, unread, unread))
    figures = arm.summary()
    assert figures["camera"] == figures["light"] == pytest.approx(100 / 3)
    assert figures["camera_gain"] == 0 and figures["light_angle"] == 180
    assert figures["camera_speed"] == 100 and figures["light_stops"] == pytest.approx(0.2)
    assert arm.reasons() == {"the picture is blank": 4}
    assert arm.confusion() == {"pan_left": {"pan_left": 1, "unusable": 2}}
    report = Report("r", {"model": arm})
    assert report.data()["arms"]["model"]["camera_moves"] == arm.confusion()
    assert (
        "camera moves of model" in report.html() and "asked and made" not in Report("r", {"m": GOOD}).html()
    )


def test_a_pair_that_cannot_be_read_counts_as_a_wrong_and_mixed_one():
    pairs = (Binding(((0.1, 1.0), (1.0, 0.1)), True, (0.0, 0.1)), Binding(reason="no face on the left"))
    arm = replace(GOOD, pairs=pairs)
    assert arm.summary()["binding"] == 50 and arm.summary()["leakage"] == pytest.approx(0.275)
    assert arm.reasons() == {"no face on the left": 1}
    assert Report("r", {"model": arm}).data()["arms"]["model"]["pairs"][1]["matrix"] is None


def test_table_lines_up_and_shows_the_reach():
    lines = Report("r", {"renderer": GOOD, "model": MIXED}).table().splitlines()
    start = lines[0].index("reach")
    assert lines[0].split() == ["renderer", "model", "reach"]
    reached = [line[start:] for line in lines[2:] if "top-1" in line or "p95" in line]
    assert reached[0].startswith("≥ 80") and reached[-1] == "≤ 60"
    assert "90 [70, 100]" in "\n".join(lines)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_saved_report_stands_alone_and_holds_every_clip(tmp_path):
    frames = torch.randint(0, 255, (25, 16, 16, 3), generator=torch.Generator().manual_seed(0))
    clip = Clip(frames.to(torch.uint8), 0.1 * torch.randn(16_000, 1))
    report = Report("<b>fennel</b>", {"before": MIXED, "after": GOOD}, {"before": clip}, {"minutes": 4})
    page = report.save(tmp_path / "demo").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    sources = [a["src"] for _, a in tags.found if "src" in a]
    assert len(sources) == 2 and all(s.startswith("data:") for s in sources)
    assert "<b>fennel" not in page and "1 × silent" in page and "minutes" in page
    framed = Tags()
    framed.feed(report._repr_html_())
    (frame,) = (attributes for tag, attributes in framed.found if tag == "iframe")
    head, _ = page.split("<figure>", 1)  # the plots in it are dated
    assert frame["srcdoc"].startswith(head)
    data = json.loads((tmp_path / "demo" / "report.json").read_text(encoding="utf-8"))
    assert len(data["arms"]["before"]["clips"]) == 10
    assert data["arms"]["before"]["clips"][9]["sync"]["reason"] == "silent"
    assert data["arms"]["after"]["figures"]["top1"]["value"] == 100
    assert sorted(p.name for p in (tmp_path / "demo").iterdir()) == ["report.html", "report.json"]
