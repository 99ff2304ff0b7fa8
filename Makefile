# make install | demo | test | lint: each does everything it needs on a fresh clone with Python 3.11.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: install demo test lint clean

install: .venv/installed

# torch goes first: packages that look for it while they are built then find the pinned one
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[speech,pretrained,dev]'
	touch $@

demo: install
	$(BIN)/python notebooks/run.py notebooks/01_quickstart.ipynb

test: install lint
	$(BIN)/python -m pytest

lint: install
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

clean:
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache
