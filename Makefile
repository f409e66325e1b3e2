# `make demo` and `make test` need python3, make and a package index; the rest comes with them.
PYTHON ?= python3
WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test check ratios bench docs clean

help: ## list these commands
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 8

demo: $(VENV)/core.stamp ## weigh PPO against honest baselines on real prices
	$(BIN)/steelyard run stock-dow30

test: $(VENV)/dev.stamp ## run the tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: $(VENV)/dev.stamp ## lint, format and types; the gates that watch over them are tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

ratios: $(VENV)/dev.stamp ## hold the speed of the hot paths against the last accepted ratios
	$(BIN)/steelyard bench ratios

bench: $(VENV)/dev.stamp ## measure speed side by side with other libraries
	$(BIN)/steelyard bench

docs: $(VENV)/docs.stamp ## build the documentation; a warning is an error
	$(BIN)/python tools/pages.py

clean: ## remove everything that can be made again
	rm -rf $(VENV) site build dist .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/core.stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/core.stamp
	$(PIP) --editable '.[dev]'
	@touch $@

$(VENV)/docs.stamp: $(VENV)/core.stamp
	$(PIP) --editable '.[docs]'
	@touch $@
