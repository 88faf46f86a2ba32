# Everything a person or CI runs. Each target sets up what it needs; `make` alone lists them.

SHELL := /bin/sh
MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DEFAULT_GOAL := help

# PYTHON names the interpreter .venv is made with, e.g. `make PYTHON=python3.12 setup`.
export PYTHON
BIN := .venv/bin
JOBS ?= auto
ARGS ?=
PYTEST := $(BIN)/python -m pytest
# Of the tests, those that read files only; `make test` runs them too, with the documentation's commands.
CHECKS := $(addprefix tests/house/test_,imports.py repository.py docs_links.py)

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

setup:  ## make .venv with the pinned dependencies (does nothing when it is up to date)
	@tools/setup.sh

run: setup  ## the NAT matrix: which path a call takes between every two NATs, with pictures under results/
	@$(BIN)/callpath run scenarios/nat_matrix.yaml $(ARGS)

test: setup  ## every test but slow ones; as root on Debian it first installs programs, and starts a Docker engine
	@tools/system-packages.sh
	@tools/node-packages.sh
	@$(BIN)/callpath engine --if-none $(BIN)/python tools/run_tests.py \
		--numprocesses=$(JOBS) --dist=worksteal -p no:benchmark -q $(ARGS)

test-slow: setup  ## the tests that take minutes each: other NAT planes, calls and timers at their real length
	@tools/system-packages.sh
	@tools/node-packages.sh
	@$(BIN)/callpath engine --if-none $(PYTEST) -m slow -p no:xdist -p no:benchmark -q $(ARGS)

lint: lint-style lint-types lint-house  ## style, types, and what holds for every file and document

lint-style: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

lint-types: setup
	@$(BIN)/mypy

lint-house: setup
	@$(PYTEST) -p no:benchmark -p no:xdist -q $(CHECKS)

bench: setup  ## the benchmarks, on one core
	@$(PYTEST) -p no:xdist -q benchmarks $(ARGS)

base-image: setup  ## Debian with what the images are built on, by this machine's apt, in its Docker engine
	@$(BIN)/python tools/images.py base

images: setup  ## the images of endpoint, relay, NAT box and coturn, in this machine's Docker engine
	@$(BIN)/python tools/images.py all

docs: setup  ## write the generated pages of docs/ anew
	@$(BIN)/python tools/generate_docs.py

lock:  ## resolve the dependencies anew into constraints/all.txt
	@tools/lock.sh

clean:  ## remove .venv, caches and builds; never results
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks build dist
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

.PHONY: help setup run test test-slow lint lint-style lint-types lint-house bench base-image images docs lock clean
