# `make demo` and `make test` need Python 3.11 or newer, make and a C++ compiler; everything else is installed
# from PyPI into .venv, in the versions of the lock files in requirements/. Choose the Python with
# `make PYTHON=python3.12 ...`; `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# Test processes: one for each core. A file stays in one: what its fixtures compile is compiled once.
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint types docs demo-picture synth torch check lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/runtime.stamp ## run a quantized network on every executor and compare every layer
	@$(BIN)/bitloom demo

test: $(VENV)/dev.stamp ## run all tests and the examples in docstrings
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

lint: $(VENV)/dev.stamp ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp ## check types, strictly
	$(BIN)/mypy
	$(BIN)/mypy requirements benchmarks docs/*.py docs/_ext docs/examples

docs: $(VENV)/dev.stamp ## run the documentation's examples and build it into docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -q -b doctest docs docs/_build/doctest
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

check: lint types test docs ## all of the above, as CI does

demo-picture: $(VENV)/dev.stamp ## make docs/demo.svg from what the demo prints
	$(BIN)/python docs/make_demo_picture.py

synth: $(VENV)/synth.stamp ## install synthesis and place-and-route, for `bitloom synth`

torch: $(VENV)/torch.stamp ## install PyTorch, whose tests are skipped without it

lock: ## write requirements/*.txt anew from pyproject.toml (with Python 3.11)
	$(PYTHON) requirements/lock.py

clean: ## remove the environment and everything that was built
	rm -rf $(VENV) build bitloom-demo docs/_build docs/generated src/*.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests docs benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# The environment. A stamp is newer than what it was made from, so nothing is installed twice and the second run
# needs no network. The package is installed in editable form: changed sources need no new installation.

$(VENV)/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  found=$$($(PYTHON) -V 2>/dev/null) || found="no such program"; \
	  echo "bitloom needs Python 3.11 or newer; $(PYTHON) is $$found. Name another: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv module. Install it (Debian, Ubuntu: apt-get install python3-venv) and try again." >&2; \
	  exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) -V)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/%.stamp: requirements/%.txt pyproject.toml $(VENV)/python.stamp
	@echo "installing requirements/$*.txt"
	@$(PIP) install --quiet --requirement requirements/$*.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
