# The verbs of the system. `make` alone lists them.
#
# No key, server or browser is needed: `make run` starts its own vendor server on loopback when
# neither LAKE nor COINGLASS_API_KEY is given. Variables: .env.example.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCK := requirements/main.lock
HASHED := --no-deps --require-hashes --only-binary :all: -r $(LOCK)
COMPOSE := docker compose --env-file .env --file docker/compose.yaml
MONITOR := $(BIN)/python -m majors_alts_monitor

# Passed on only where they are given.
RANGE = --start "$(START)" --end "$(END)"
LAKE_FLAG = $(if $(LAKE),--data-lake "$(LAKE)")
OUT_FLAG = $(if $(OUT),--out "$(OUT)")
SETS = $(foreach pair,$(SET),--set "$(pair)")
# $(call need,NAMES,EXAMPLE) ends a verb with one line when a variable it cannot do without is empty.
comma := ,
need = $(foreach name,$(1),$(if $($(name)),,$(error $(name) is missing; for example: $(2))))
stack = @docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1 && test -f .env || \
  { echo "this needs a running Docker with its compose plugin and a filled .env (docker/README.md); make run and make airflow need neither" >&2; exit 2; }

# Libraries that would ask home, and thread pools that would fight over two cores.
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export DO_NOT_TRACK := 1
export GX_ANALYTICS_ENABLED := false
export SCARF_ANALYTICS := false

.PHONY: help setup lock run fetch warehouse signals backtest sweep audit reproduce quality doctor \
  docs dictionary airflow up down bench chaos nights lint test \
  test-distributed

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 18

setup: $(READY) ## create .venv from the hashed lock

# Verbs started side by side wait for one another here; the inner make looks again whether it is done.
ifndef ALONE
$(READY): $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import fcntl, subprocess, sys; turn = open("Makefile"); \
	  fcntl.flock(turn, fcntl.LOCK_EX); sys.exit(subprocess.call(sys.argv[1:]))' \
	  $(MAKE) --silent ALONE=1 $(READY)
else
$(READY): $(LOCK) pyproject.toml
	@$(PYTHON) -m venv --clear $(VENV)
	@uv pip install --quiet --compile-bytecode --python $(BIN)/python $(HASHED) 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check $(HASHED)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)
endif

lock: ## resolve requirements/main.in into the hashed lock
	uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	  --output-file $(LOCK) requirements/main.in

run: $(READY) ## daily_signal end to end: make run [LAKE=DIR] [ASOF=2024-12-30]
	@$(BIN)/python -m pipeline_kit.local_airflow run --asof "$(ASOF)" --lake "$(LAKE)"

fetch: $(READY) ## vendors into the lake: make fetch START=D END=D
	$(call need,START END,make fetch START=2024-01-01 END=2024-12-30)
	@$(BIN)/python -m lake_ingest.fetch $(RANGE) --resume

warehouse: $(READY) ## build, judge and publish the warehouse: make warehouse ASOF=D
	@$(MONITOR).daily warehouse --asof "$(ASOF)"

signals: $(READY) ## one day's signal: make signals ASOF=D [LAKE=DIR] [OUT=DIR] [SET="k=v ..."]
	@$(MONITOR).signals --asof "$(ASOF)" $(LAKE_FLAG) $(OUT_FLAG) $(SETS)

backtest: $(READY) ## a range: make backtest START=D END=D [LAKE=DIR] [OUT=DIR] [SET="k=v ..."]
	$(call need,START END,make backtest START=2024-01-01 END=2024-12-30)
	@$(MONITOR).run $(RANGE) $(LAKE_FLAG) $(OUT_FLAG) $(SETS)

sweep: $(READY) ## many configurations: make sweep PARAMS='{"start": ..., "end": ..., "sweep": {...}}'
	$(call need,PARAMS,make sweep PARAMS='{"start": "2024-01-01"$(comma) "end": "2024-12-30"$(comma) "sweep": {"universe.basket_size": [10$(comma) 20]}}')
	@$(MONITOR).backfill '$(PARAMS)'

audit: $(READY) ## prove causality: make audit START=D END=D
	$(call need,START END,make audit START=2024-10-01 END=2024-12-30)
	@$(MONITOR).audit $(RANGE)

reproduce: $(READY) ## rebuild a run and compare every byte: make reproduce RUN=DIR
	$(call need,RUN,make reproduce RUN=reports/majors_alts/RUN_ID)
	@$(MONITOR).reproduce "$(RUN)"

quality: $(READY) ## counts and findings of the dbt project; every checksum and key of the lake
	@$(BIN)/python -m tests.integration.dbt_quality
	@$(BIN)/python -m lake_ingest.verify

doctor: $(READY) ## say what is wrong with this installation
	@$(BIN)/python -m pipeline_kit.doctor

docs: $(READY) ## the lineage page of the newest day, built from the warehouse
	@$(MONITOR).daily docs --asof "$(ASOF)"

dictionary: $(READY) ## docs/data_dictionary.md, from the descriptions beside the dbt models
	@$(BIN)/python -m pipeline_kit.data_dictionary

airflow: $(READY) ## the Airflow UI on 127.0.0.1
	@$(BIN)/python -m pipeline_kit.local_airflow ui

up: ## the distributed stack of docker/compose.yaml; needs Docker and .env
	$(stack)
	$(COMPOSE) up --build --detach --wait

down: ## stop the stack, keep its volumes
	$(stack)
	$(COMPOSE) down

bench: $(READY) ## time engine, regime, sizing and warehouse; the last takes an hour
	@for file in engine regime sizing warehouse; do $(BIN)/python -m benchmarks.$$file; done

chaos: $(READY) ## kill deliveries, sweeps and the scheduler; fill the disk, take the vendors; list the points
	@CHAOS=all $(BIN)/pytest -q tests/chaos

nights: $(READY) ## live DAYS nights (30) in two worlds, compare with one backtest: make nights [DAYS=30]
	@DAYS="$(or $(DAYS),30)" $(BIN)/pytest -q --timeout 14400 tests/integration/test_days_lived.py

lint: $(READY) ## formatting, lint and types
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy

test: lint ## the whole suite, offline, as CI runs it
	@$(BIN)/pytest -q -n 2 --dist loadfile --ignore tests/distributed

test-distributed: $(READY) ## a sweep over two Celery workers and S3: make test-distributed [MEMBERS=64] [RECORD=1]
	@MEMBERS="$(MEMBERS)" RECORD="$(RECORD)" $(BIN)/pytest -q tests/distributed
