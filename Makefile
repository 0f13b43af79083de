# The only entry: everything a developer or CI does is a target here.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PACKAGES := headrace rollout_controller traffic_router analysis_runner headrace_all_in_one \
	headrace_cli headrace_demo headrace_gen headrace_lab \
	headrace_rehearsal headrace_sandbox
SOURCES := shared services tools tests examples
LAB := .lab

.PHONY: help setup fmt lint types tidy test unit sim hunt mutants e2e e2e-long bench gen check demo \
	lab-up lab-down demo-lab ci clean

help: ## Show the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## Make .venv with everything installed in it

$(STAMP): pyproject.toml requirements/lock.txt
	@bash tools/setup/check-python.sh "$(PYTHON)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/lock.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $(STAMP)

fmt: setup ## Format the code
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

lint: setup ## Check style, imports and spelling
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/lint-imports
	$(BIN)/codespell README.md CHANGELOG.md CONTRIBUTING.md docs shared services tools tests

types: setup ## Check types
	$(BIN)/mypy $(foreach package,$(PACKAGES),-p $(package))
	$(BIN)/mypy tests

tidy: setup ## Check the house rules
	$(BIN)/pytest -q tests/tidy

test: setup ## Run all tests that need no server
	$(BIN)/pytest -q -n auto -m "not lab and not long" tests

unit: setup ## Run the unit tests only
	$(BIN)/pytest -q tests/unit

sim: setup ## Replay the scenarios and the recorded seeds of the simulator
	$(BIN)/pytest -q -n auto tests/simulation

hunt: setup ## Let fresh seeds of the simulator search for ten minutes
	$(BIN)/headrace-sandbox --hunt 600 --demand-coverage

mutants: setup ## Prove with fresh seeds that the simulator misses none of the protections
	$(BIN)/headrace-sandbox --mutants

e2e: setup ## Run the tests on the real parts, with short times
	$(BIN)/python -m headrace_lab check-tools
	$(BIN)/python -m headrace_lab run --dir $(LAB) -- $(BIN)/pytest -q -n 2 --dist loadfile --reruns 1 -rfER \
		--no-loadscope-reorder --durations=25 -m "lab and not long" tests

e2e-long: setup ## Run them with the defaults and full counts
	$(BIN)/python -m headrace_lab check-tools
	HEADRACE_E2E_LONG=1 $(BIN)/python -m headrace_lab run --dir $(LAB) -- \
		$(BIN)/pytest -q -m "lab or long" tests

bench: setup ## Measure speed and cost on the lab
	$(BIN)/python -m headrace_lab check-tools
	$(BIN)/python tests/bench/bench_canary.py

gen: setup ## Generate CRDs, schemas and reference documents
	$(BIN)/python -m headrace_gen

check: setup ## Fail when a generated file is stale
	$(BIN)/python -m headrace_gen --check

demo: setup ## Show the whole story in one process, without servers
	$(BIN)/python -m headrace_demo

lab-up: setup ## Start the real parts on loopback
	$(BIN)/python -m headrace_lab up --dir $(LAB)

lab-down: setup ## Stop them
	$(BIN)/python -m headrace_lab down --dir $(LAB)

demo-lab: setup ## Show the story on the real parts with true requests
	$(BIN)/python -m headrace_demo --lab --dir $(LAB)

ci: lint types tidy check test ## What every change must pass

clean: ## Remove what was built here
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache dist
