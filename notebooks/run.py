"""Run a notebook from top to bottom, with what its cells print shown as they print it.

`python notebooks/run.py NOTEBOOK --set minutes=0.3` puts a value of one's own after the cell that is tagged
`parameters`.
"""

import argparse
import ast
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

# bars as text: a notebook's own are widgets, which no terminal shows
TEXT_BARS = "import tqdm.auto, tqdm.std\ntqdm.auto.tqdm, tqdm.auto.trange = tqdm.std.tqdm, tqdm.std.trange"


class TerminalClient(NotebookClient):
    """Executes a notebook and passes on its printed output at once."""

    def process_message(self, msg: dict, cell: nbformat.NotebookNode, cell_index: int):
        if msg["msg_type"] == "stream":
            stream = sys.stderr if msg["content"]["name"] == "stderr" else sys.stdout
            stream.write(msg["content"]["text"])
            stream.flush()
        return super().process_message(msg, cell, cell_index)


def run(path: Path, values: dict[str, object], timeout: int = 1800) -> nbformat.NotebookNode:
    """Execute every cell, the notebook's folder as working directory; nothing is written back to it.

    Errors: CellExecutionError with the failing cell's traceback; ValueError for a value it has no place for.
    """
    notebook = nbformat.read(path, as_version=4)
    _put_in(notebook, values)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(TEXT_BARS))
    client = TerminalClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.resolve().parent)}},
        on_cell_start=_announce,
        extra_arguments=["--log-level=ERROR"],
    )
    return client.execute()


def _put_in(notebook: nbformat.NotebookNode, values: dict[str, object]) -> None:
    if not values:
        return
    tagged = [i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])]
    if not tagged:
        raise ValueError("the notebook has no cell tagged `parameters`, so --set has nothing to set")
    known = {
        t.id
        for node in ast.parse(notebook.cells[tagged[0]].source).body
        for t in getattr(node, "targets", [])
    }
    if unknown := set(values) - known:
        raise ValueError(f"the notebook has no parameter {min(unknown)!r}; it has {', '.join(sorted(known))}")
    lines = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    notebook.cells.insert(tagged[0] + 1, nbformat.v4.new_code_cell(lines))


def _announce(cell: nbformat.NotebookNode, cell_index: int) -> None:
    """Headings as they come up, so that a terminal shows where the notebook stands."""
    if cell.cell_type == "markdown" and cell.source.startswith("#"):
        print(f"\n{cell.source.splitlines()[0].lstrip('# ')}", flush=True)


def _assignment(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form name=value")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument(
        "--set", action="append", type=_assignment, default=[], metavar="NAME=VALUE", dest="values"
    )
    options = parser.parse_args()
    start = time.monotonic()
    try:
        run(options.notebook, dict(options.values))
    except CellExecutionError as error:
        print(f"{error}\n{options.notebook.name}: {error.ename}: {error.evalue}", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"{options.notebook.name}: {error}", file=sys.stderr)
        return 1
    print(f"\n{options.notebook.name}: every cell ran, in {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
