# Needs Python 3.11 or newer and make. `.venv` is made, reused and renewed by itself.
#   make demo                 the main job, start to end, in a minute
#   make test                 the one gate: lint, types, imports, docs and tests
#   make soak [JOB="a b"]     the long runs; writes docs/results/
#   make bench [JOB="a b"]    comparisons with other libraries; writes docs/results/
#   make docs                 the documentation site, in build/site
#   make wheel                the files to publish, in dist/, checked and tried out
#   make setup, make clean    only .venv; remove .venv and caches (never your runs)

PYTHON ?= python3
ARGS ?=
JOB ?=
RUN := .venv/bin/python

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup core dev demo test soak bench docs wheel clean

help:
	@sed -n 's/^#   //p' Makefile

core dev:
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { echo "Fallline needs Python 3.11 or newer, and there is no '$(PYTHON)' here: install it, or name one, as in 'make PYTHON=python3.12 test'." >&2; exit 1; }
	@"$(PYTHON)" scripts/setup.py $@

setup: dev

demo: core
	@$(RUN) scripts/demo.py $(ARGS)

test: dev
	@$(RUN) -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

soak: dev
	@$(RUN) scripts/soak.py $(JOB)

bench: dev
	@$(RUN) -m benchmarks $(JOB)

docs: dev
	@$(RUN) scripts/docs.py

wheel: dev
	@$(RUN) scripts/wheel.py

clean:
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist demo
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "Removed .venv, caches and build outputs; runs/ is untouched."
