# `make run` and `make test` are all a newcomer needs; `make help` lists the rest.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run install dev check test test-real test-page test-kube fuzz bench bench-resilience bench-quota lock docs clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

run: $(VENV)/.installed ## Set up, then run the sidecar in front of a simulated fleet and carry a call
	@$(BIN)/sidecar demo

install: $(VENV)/.installed ## Create the environment and install the sidecar (hashed lock)

dev: $(VENV)/.dev ## The same, with the tools that test it

test: $(VENV)/.dev ## Set up, then run the tests
	@$(BIN)/python -m pytest

check: $(VENV)/.dev ## Format, lint, types, floors
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

test-real: ## Real SDKs in five languages and a real LLM server, through the sidecar
	@tests/real/run

test-page: ## The live page in Chromium
	@tests/page/run

test-kube: ## The chart and the injector with a real API server; the image's steps
	@tests/cluster/run

fuzz: $(VENV)/.dev ## Fuzz for MINUTES= (10), from a SEED=, ONLY= some fuzzers, or try an INPUT= again
	@$(BIN)/python -m tests.fuzz $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(ONLY),--only $(ONLY)) $(if $(INPUT),--input $(INPUT))

bench: ## Compare with Envoy, HAProxy, nginx, sglang-router and LiteLLM in one run
	@bench/run

bench-resilience: ## Compare with no proxy and with Envoy on a faulty fleet
	@bench/resilience/run

bench-quota: ## Compare 50 sidecars at one quota with Envoy and with SDKs alone; draw docs/quota.svg
	@bench/sharing/run

docs: $(VENV)/.dev ## Write docs/configuration.md, states.md, mistakes.md and the chart's README and schema anew
	@$(BIN)/python -m sidecar.config.reference > docs/configuration.md
	@$(BIN)/python -m sidecar.listen.states > docs/states.md
	@$(BIN)/python -m tests.config.mistakes.table > docs/mistakes.md
	@$(BIN)/python -m charts.generate

lock: ## Resolve the dependencies anew, with hashes
	@locks/update

clean: ## Remove environments and caches
	rm -rf .venv* .build .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@echo "making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python locks/runtime.txt pyproject.toml
	@echo "installing the sidecar's dependencies (about 20 s) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/runtime.txt -r locks/build.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q sidecar
	@touch $@

$(VENV)/.dev: $(VENV)/.installed locks/dev.txt
	@echo "installing the test tools (about 30 s) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/dev.txt
	@touch $@
