# The two commands of the README, each from nothing but Python 3.11: `make demo` and `make test`.

PYTHON ?= python3
VENV ?= .venv
# Installed first and by exactly this version, so that nothing else brings a larger build of it.
TORCH ?= torch==2.13.0
BIN := $(VENV)/bin

.PHONY: demo test check bench clean

demo: $(VENV)/.demo
	$(BIN)/otklik classify < data/samples/demo.txt
	@mkdir -p build/demo
	$(BIN)/otklik label data/samples/survey.csv -o build/demo/labelled.csv
	$(BIN)/otklik report build/demo/labelled.csv -o build/demo/report.html --xlsx build/demo/numbers.xlsx

test: $(VENV)/.dev check

check:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest

# Load on the real server, ten minutes; TEXTS="a.jsonl b.jsonl" for other texts than the project's own.
bench: $(VENV)/.dev
	$(BIN)/python tests/load/bench.py $(TEXTS) --json bench.json

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit("Otklik needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make PYTHON=python3.11 …" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.python pyproject.toml
	$(BIN)/pip install --quiet --editable '.[report]'
	@touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml
	$(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
