# Works on a fresh clone with any Python >= 3.11: `make demo` and `make test` bring their own virtual environments.
# A stamp file inside each environment is newer than pyproject.toml once everything is installed.
SHELL := /bin/bash
PYTHON ?= python3
PIP_FLAGS ?= --quiet --disable-pip-version-check
BUF := npx --yes @bufbuild/buf@1.75.0

VENV := .venv
DEV := .venv-dev
INSTALLED := $(VENV)/.installed
DEV_INSTALLED := $(DEV)/.installed

.PHONY: help demo test core lint ruff format mypy imports buf proto proto-check schema schema-check readme browser bench bench-recognizers bench-evasion bench-rewriting soak fuzz hadolint wheel dev clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## install the package and screen real texts over gRPC
	@$(VENV)/bin/guard demo

test: $(DEV_INSTALLED) browser ## every test; the time per group stands at the end
	@$(DEV)/bin/python -m pytest

core: $(DEV_INSTALLED) ## the unit tests of the pure core alone
	@$(DEV)/bin/python -m pytest -m core

browser: ## a Chromium for the tests of the report, where none is here
	@.ci/browser

lint: ruff format mypy imports buf proto-check schema-check hadolint ## every static check

ruff: $(DEV_INSTALLED)
	@$(DEV)/bin/ruff check .

format: $(DEV_INSTALLED)
	@$(DEV)/bin/ruff format --check .

mypy: $(DEV_INSTALLED)
	@$(DEV)/bin/mypy

imports: $(DEV_INSTALLED)
	@$(DEV)/bin/lint-imports --no-cache --no-logo

buf:
	@$(BUF) lint proto

proto: $(DEV_INSTALLED) ## generate guard/v1 from proto/
	@PYTHON=$(DEV)/bin/python proto/generate.sh

proto-check: $(DEV_INSTALLED)
	@PYTHON=$(DEV)/bin/python proto/generate.sh --check

schema: $(DEV_INSTALLED) ## write policies/policy.schema.json
	@$(DEV)/bin/python -m guard.policy.schema > policies/policy.schema.json

schema-check: $(DEV_INSTALLED)
	@$(DEV)/bin/python -m guard.policy.schema | diff -u policies/policy.schema.json -

readme: $(DEV_INSTALLED) ## write the outputs that README.md shows
	@$(DEV)/bin/python -m tests.readme

bench: $(DEV_INSTALLED) ## one table of ratios: the sidecar under load, the model, streams (an idle machine, a quarter of an hour)
	@$(DEV)/bin/python -m tests.bench --output runs/bench/bench.json

soak: $(DEV_INSTALLED) ## a sidecar under every kind of call for ten minutes: memory, threads, files
	@$(DEV)/bin/python -m tests.bench.soak --output runs/bench/soak.json

fuzz: $(DEV_INSTALLED) ## a million random inputs for the wire and the window
	@$(DEV)/bin/python -m tests.fuzz

bench-recognizers: $(DEV_INSTALLED) ## what the recognizers find, and how long they take
	@$(DEV)/bin/python -m tests.bench.pii
	@$(DEV)/bin/python -m tests.bench.recognizers

bench-evasion: $(DEV_INSTALLED) ## what disguises cost, on texts of our own (--data DIR adds benchmark rows)
	@$(DEV)/bin/python -m tests.bench.evasion --output runs/bench/evasion.json

bench-rewriting: $(DEV_INSTALLED) ## what rewrites find, take and leave (a minute, on an idle machine)
	@$(DEV)/bin/python -m tests.bench.rewriting --output runs/bench/rewriting.json

hadolint: $(DEV_INSTALLED)
	@$(DEV)/bin/hadolint Dockerfile

wheel: ## build the wheel and screen a text with it in a clean environment
	@PYTHON=$(PYTHON) .ci/wheel

dev: $(DEV_INSTALLED) ## the development environment alone

$(INSTALLED): pyproject.toml
	@echo "setting up $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install $(PIP_FLAGS) --editable .
	@touch $@

# torch first and alone: a library that depends on it must not choose another build.
$(DEV_INSTALLED): pyproject.toml
	@echo "setting up $(DEV) (some minutes: it holds PyTorch)"
	@$(PYTHON) -m venv $(DEV)
	@$(DEV)/bin/pip install $(PIP_FLAGS) torch==2.13.0
	@$(DEV)/bin/pip install $(PIP_FLAGS) --editable '.[dev,train]'
	@touch $@

clean: ## remove the environments and what was built
	rm -rf $(VENV) $(DEV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis
