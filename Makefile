# Everything a fresh machine needs is Python 3.11 or newer, pip and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready-$(shell cksum pyproject.toml | cut -d' ' -f1)

.PHONY: demo test test-all test-browser lint types mutants format clean

demo: $(READY)
	$(BIN)/longtail demo

test: lint types
	$(BIN)/python -m pytest -n 2 --doctest-modules tests src/longtail -m "not slow and not real and not gpu and not browser"

test-all: lint types
	$(BIN)/python -m pytest -n 2 --doctest-modules tests src/longtail

# Needs Debian's chromium, or another that CHROMIUM names.
test-browser: $(READY)
	$(BIN)/python -m pytest tests/browser

lint: $(READY)
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks

types: $(READY)
	$(BIN)/mypy

mutants: $(READY)
	$(BIN)/python tests/mutants.py

format: $(READY)
	$(BIN)/ruff check --fix src tests benchmarks
	$(BIN)/ruff format src tests benchmarks

# uv resolves torch in seconds where pip takes minutes; it lives in the environment it fills.
$(READY): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable ".[dev]"
	rm -f .venv/.ready-*
	touch $@

clean:
	rm -rf .venv build dist
