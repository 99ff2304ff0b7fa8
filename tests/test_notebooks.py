import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RUNNER = ROOT / "notebooks" / "run.py"


def run(path: Path, *settings: str) -> subprocess.CompletedProcess:
    values = [part for setting in settings for part in ("--set", setting)]
    return subprocess.run(
        [sys.executable, str(RUNNER), str(path), *values], capture_output=True, text=True, timeout=600
    )


def notebook_of(tmp_path: Path, *sources: str, tags: tuple[str, ...] = ()) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[0].metadata["tags"] = list(tags)
    path = tmp_path / "small.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_kept_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
    assert "widgets" not in notebook.metadata


def test_the_runner_shows_what_cells_print_and_takes_values(tmp_path):
    bar = "from tqdm.auto import tqdm\nfor _ in tqdm(range(3), desc='working'): pass"
    path = notebook_of(
        tmp_path, "minutes = 5\nname = 'a'", "print('minutes', minutes / 2, name)", bar, tags=("parameters",)
    )
    before = path.read_bytes()
    done = run(path, "minutes=0.5", "name=b")
    assert done.returncode == 0, done.stderr
    assert "minutes 0.25 b" in done.stdout
    assert "working: 100%" in done.stderr
    assert path.read_bytes() == before


def test_the_runner_reports_the_cell_that_failed(tmp_path):
    done = run(notebook_of(tmp_path, "x = 1", "raise ValueError('no such character')"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "small.ipynb: ValueError: no such character"


def test_the_runner_refuses_an_unknown_parameter(tmp_path):
    done = run(notebook_of(tmp_path, "minutes = 5", tags=("parameters",)), "hours=1")
    assert done.returncode == 1
    assert "no parameter 'hours'; it has minutes" in done.stderr


@pytest.mark.slow
def test_a_studio_comes_from_two_folders_to_an_adapter(tiny_pipeline_folder, tmp_path):
    small = ["prior=null", "steps=2", "batch_size=2", "lora.rank=2", "lora.alpha=2"]
    settings = [
        "characters=['data/characters/rusty', 'data/characters/vesper']",
        "snapshots=1",
        "clips=2",
        "steps=2",
        f"overrides={small}",
        f"model={tiny_pipeline_folder}",
        f"out={tmp_path}",
    ]
    done = run(ROOT / "notebooks" / "02_brand_character.ipynb", *settings)
    assert done.returncode == 0, done.stderr[-3000:]
    left = ["adapter.safetensors", "comfyui.safetensors", "ranking.json"]
    of_each = [f"{kind}-{name}" for name in ("rusty", "vesper") for kind in ("doctor", "leakage", "sheet")]
    assert {path.name.partition(".")[0] for path in tmp_path.glob("*.*")} >= {*of_each}
    assert all((tmp_path / name).stat().st_size > 0 for name in left)
    assert "nothing stands against its use" in done.stdout and "0 errors" in done.stdout


@pytest.mark.slow
def test_the_quickstart_runs_from_top_to_bottom(tiny_pipeline_folder, tmp_path):
    settings = [
        "minutes=0.05",
        "takes=2",
        "prior=False",
        "steps=2",
        f"model={tiny_pipeline_folder}",
        f"out={tmp_path}",
    ]
    done = run(ROOT / "notebooks" / "01_quickstart.ipynb", *settings)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("before.mp4", "after.mp4", "report.json", "report.html", "adapter.safetensors"):
        assert (tmp_path / name).stat().st_size > 0, name
    assert "before: 100%" in done.stderr
    assert "brand-lora" in done.stderr
    assert "identity" in done.stdout
