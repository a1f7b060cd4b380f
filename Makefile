# The verbs of the system. `make` alone lists them.
#
# No key, server or browser is needed: `make run` starts its own vendor server on loopback when
# neither LAKE nor COINGLASS_API_KEY is given.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCK := requirements/main.lock

# Libraries that would ask home, and thread pools that would fight over two cores.
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export DO_NOT_TRACK := 1
export GX_ANALYTICS_ENABLED := false
export SCARF_ANALYTICS := false

.PHONY: help setup run airflow test lint lock

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

setup: $(READY) ## create .venv from the hashed lock

$(READY): $(LOCK) pyproject.toml
	@$(PYTHON) -m venv --clear $(VENV)
	@if command -v uv >/dev/null 2>&1; then \
	  uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes --only-binary :all: -r $(LOCK); \
	  uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .; \
	else \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: -r $(LOCK); \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .; \
	fi
	@touch $(READY)

lock: ## resolve requirements/main.in into the hashed lock
	uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	  --output-file $(LOCK) requirements/main.in

run: $(READY) ## daily_signal end to end: make run [LAKE=DIR] [ASOF=2024-12-30]
	@$(BIN)/python -m pipeline_kit.local_airflow run --asof "$(ASOF)" --lake "$(LAKE)"

airflow: $(READY) ## the Airflow UI on 127.0.0.1
	@$(BIN)/python -m pipeline_kit.local_airflow ui

lint: $(READY) ## formatting, lint and types
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy

test: lint ## the whole suite, offline, as CI runs it
	@$(BIN)/pytest -q
