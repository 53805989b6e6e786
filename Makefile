# make matrix   set up, then show every configuration side by side
# make test     set up, then run the tests
# make check    lint, types and import contracts
# make bench    what the load engine and the fast server cost, against their peers
# Options of the matrix go in ARGS:  make matrix ARGS="--only 'istio*' --verbose"

VENV ?= .venv
# The first interpreter that is new enough; override with PYTHON=...
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$p && break; done)
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: matrix test check bench format clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -6

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; none was found on PATH. Name one: make PYTHON=/path/to/python3"; exit 4; }
	@echo "Making the environment in $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { echo "No environment could be made. On Debian and Ubuntu the package python3-venv brings what is missing."; rm -rf $(VENV); exit 4; }

$(VENV)/.lab: pyproject.toml | $(BIN)/python
	@$(PIP) --editable '.[lab]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@$(PIP) --upgrade 'pip>=25.1'
	@$(PIP) --editable '.[all]' --group dev
	@touch $@ $(VENV)/.lab

matrix: $(VENV)/.lab
	@$(BIN)/whichpod matrix $(ARGS)

test: $(VENV)/.dev
	@$(BIN)/pytest --numprocesses 2 --dist worksteal $(ARGS)

check: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tests/house_rules.py

bench: $(VENV)/.dev
	@$(BIN)/python -m benchmarks $(ARGS)

format: $(VENV)/.dev
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist reports .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
