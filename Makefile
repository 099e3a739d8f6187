# Everything a person does here is one of these. Each makes .venv when it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
READY := $(VENV)/.ready

.PHONY: demo test test-slow lint docs bench bench-verdicts clean

demo: $(READY)
	$(BIN)/modelctl demo

test: lint
	$(BIN)/pytest -n 3

test-slow: $(READY)
	$(BIN)/pytest -m slow --timeout 900

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/sphinx-build -W --keep-going -n -b html -d docs/_build/doctrees docs docs/_build/html
	@echo 'open docs/_build/html/index.html'

bench: $(READY)
	$(BIN)/python -m tests.benchmarks.peers

bench-verdicts: $(READY)
	$(BIN)/python -m tests.benchmarks.verdicts

clean:
	rm -rf $(VENV) docs/_build modelctl/router/*.so *.so .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist

$(READY): $(INSTALLED) $(wildcard modelctl/router/*.py)
	$(BIN)/python hatch_build.py
	touch $@

$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	MODELCTL_PURE=1 $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@
