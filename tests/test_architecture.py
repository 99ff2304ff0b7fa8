"""The house stays as planned: imports run one way, `import horsekit` is light, nothing unsafe is loaded."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# from the ground up; a module imports from its own package and from floors below its own
FLOORS = (
    ("clock", "cues"),
    ("prompt",),
    ("media", "excerpt", "terms"),
    ("dialogue",),
    ("stage", "tokenizers", "character", "direction"),
    ("sequence",),
    ("transformer", "dataset"),
    ("adapters", "flow"),
    ("request",),
    ("pipeline",),
    ("metrics",),
    ("engine",),
    ("jobs", "doctor"),
    ("brand",),
    ("training",),
    ("widgets", "cli"),
)
FLOOR = {name: number for number, floor in enumerate(FLOORS) for name in floor}
# what is heavy, optional or under another licence, and the only place that may import it
CONFINED = {
    "deepspeed": ("horsekit/engine", "training"),
    "wandb": ("horsekit/engine",),
    "ipywidgets": ("horsekit/widgets",),
    "anywidget": ("horsekit/widgets",),
    "IPython": ("horsekit/widgets",),
    "espeakng_loader": ("horsekit/stage",),
    "diffusers": ("horsekit/tokenizers",),
    "transformers": ("horsekit/tokenizers",),
}
HEAVY = (*CONFINED, "datasets", "peft", "matplotlib")
FORBIDDEN = ("torchvision", "torchaudio", "pickle", "dill", "cloudpickle", "joblib", "tests", "notebooks")


@cache
def sources() -> tuple[Path, ...]:
    """Every Python file of the library and of training/."""
    return tuple(sorted(path for part in ("horsekit", "training") for path in (ROOT / part).rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(nodes: Iterator[ast.AST], path: Path) -> Iterator[tuple[str, ...]]:
    """The dotted names that the import statements among the nodes bring in."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import on line {node.lineno}; write it in full"
            for alias in node.names:
                yield (*node.module.split("."), alias.name)


def unit(path: Path) -> str:
    """The module or package of the house that a file belongs to: media, clock, training..."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[1] if parts[0] == "horsekit" else parts[0]


def label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", sources(), ids=label)
def test_imports_run_one_way(path):
    own = unit(path)
    names = list(imported(ast.walk(tree(path)), path))
    for name in names:
        assert name[0] not in FORBIDDEN, f"{label(path)} imports {'.'.join(name)}"
        places = CONFINED.get(name[0])
        assert places is None or label(path).startswith(places), f"{label(path)} imports {name[0]}"
    if own == "__init__":
        return
    assert own in FLOOR, f"{label(path)} stands on no floor of the house"
    for name in names:
        other = (
            name[1]
            if name[0] == "horsekit" and len(name) > 1
            else "training"
            if name[0] == "training"
            else own
        )
        if other not in (own, "__version__"):
            assert FLOOR[other] < FLOOR[own], f"{label(path)} imports {'.'.join(name)}, which is not below it"


def test_no_module_imports_itself_through_others():
    files = {label(path).removesuffix(".py").removesuffix("/__init__"): path for path in sources()}
    graph = {}
    for module, path in files.items():
        found = set()
        for name in imported(iter(tree(path).body), path):
            longest = next((name[:n] for n in range(len(name), 0, -1) if "/".join(name[:n]) in files), None)
            if longest:
                found.add("/".join(longest))
        graph[module] = found - {module}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"imports run in a circle: {' -> '.join(error.args[1])}")


def test_import_is_light():
    code = (
        "import sys, time; start = time.perf_counter(); import horsekit; "
        f"print(time.perf_counter() - start, *[name for name in {HEAVY!r} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    seconds, *loaded = run.stdout.split()
    assert not loaded
    assert float(seconds) < 10  # torch itself takes two on an idle core


@pytest.mark.parametrize("path", sources(), ids=label)
def test_nothing_that_can_run_code_is_loaded(path):
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.Call):
            continue
        called, options = ast.unparse(node.func), {word.arg: word.value for word in node.keywords}
        where = f"{label(path)}, line {node.lineno}"
        if called == "torch.load":
            safe = options.get("weights_only")
            assert isinstance(safe, ast.Constant) and safe.value is True, (
                f"{where}: weights_only=True is missing"
            )
        assert called not in ("yaml.load", "yaml.unsafe_load", "yaml.full_load"), (
            f"{where}: use yaml.safe_load"
        )
        assert called not in ("eval", "exec"), f"{where}: {called}"
        assert "allow_pickle" not in options, f"{where}: allow_pickle"
        assert "trust_remote_code" not in options, f"{where}: trust_remote_code"


def written() -> Iterator[Path]:
    """Every file of the project that a person reads."""
    for part in ("horsekit", "training", "configs", "notebooks", "data", "tests"):
        for path in (ROOT / part).rglob("*"):
            if (
                path.suffix in (".py", ".md", ".yaml", ".json", ".toml", ".ipynb")
                and "fixtures" not in path.parts
            ):
                yield path
    yield from (ROOT / name for name in ("README.md", "Makefile", "pyproject.toml", ".ci/run"))


def test_every_name_says_what_is_inside():
    vague = {"utils", "util", "helpers", "helper", "misc", "common"}
    assert not [label(path) for path in written() if path.stem in vague]


def test_no_path_of_one_machine_is_written_down():
    machine = re.compile(r"(?<![\w.~-])/(?:work|root|home|tmp|Users|mnt)/")
    found = [label(path) for path in written() if machine.search(path.read_text(encoding="utf-8"))]
    assert not found
