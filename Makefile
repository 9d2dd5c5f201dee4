# Two commands start a newcomer: `make demo` and `make test`. Both set up everything first, once.
# Prerequisites: git, make and Python 3.11 to 3.13 with venv. No root, no Node, no PostgreSQL.

SHELL := /bin/bash
PORT ?= 8000
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,$(shell \
	$(name) -c 'import sys, venv, ensurepip; (3, 11) <= sys.version_info[:2] < (3, 14) and print("$(name)")' 2>/dev/null)))
# The tests and the demo start many processes; each would compile all of the house again.
unexport PYTHONDONTWRITEBYTECODE
BIN := .venv/bin
STAMPS := .venv/stamps
PAGES := src/shipit/web/dist/digest
PAGE_SOURCES := $(shell find frontend -name node_modules -prune -o -type f -print)

.PHONY: demo test lint types drills bench docs lock clean help

help:  ## say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 with venv is needed (Debian: python3-venv)"; exit 1; }
	$(PYTHON) -m venv .venv

# The pages, built once and again only when they change; Node is the machine's own, or comes from PyPI.
$(PAGES): $(PAGE_SOURCES) | $(BIN)/python
	@$(BIN)/python frontend/build.py --has-node || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/node.txt
	$(BIN)/python frontend/build.py && touch $@

$(STAMPS)/run: requirements/run.txt pyproject.toml hatch_build.py | $(BIN)/python $(PAGES)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dev: requirements/dev.txt $(STAMPS)/run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

demo: $(STAMPS)/run $(PAGES)  ## run everything on this machine, with invented data: make demo PORT=8000
	@exec $(BIN)/shipit demo --port $(PORT)

test: $(STAMPS)/dev $(PAGES)  ## run the tests
	$(BIN)/python -m pytest -m "not drill" -n 3 --dist loadfile $(ARGS)

drills: $(STAMPS)/dev $(PAGES)  ## run the fault drills with real servers
	$(BIN)/python -m pytest -m drill -n 2 --dist loadfile $(ARGS)

lint: $(STAMPS)/dev  ## check style and types
	$(BIN)/ruff check src tests benchmarks docs frontend hatch_build.py
	$(BIN)/ruff format --check src tests benchmarks docs frontend hatch_build.py
	$(BIN)/mypy
	$(BIN)/python frontend/openapi.py --check
	$(BIN)/python frontend/build.py --check

types: $(STAMPS)/dev  ## write the pages' types of the API
	$(BIN)/python frontend/openapi.py

bench: $(STAMPS)/dev $(PAGES)  ## measure beside the peers; writes docs/benchmarks.md
	$(BIN)/python -m benchmarks $(ARGS)

docs: $(STAMPS)/dev $(PAGES)  ## write the parts of docs/ that are made from the code
	$(BIN)/python docs/make.py
	@if command -v chromium >/dev/null; then $(BIN)/python docs/pictures.py; else echo "no chromium: pictures stay"; fi

lock: $(BIN)/python  ## compile the pinned requirements (needs uv)
	for set in run "dev --group dev"; do \
	  set -- $$set; name=$$1; shift; \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links $$( [ $$name = dev ] && echo --constraints requirements/run.txt ) \
	    "$$@" pyproject.toml --output-file requirements/$$name.txt || exit 1; \
	done
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --group node --output-file requirements/node.txt

clean:  ## remove what set-up and demo made
	rm -rf .venv .demo .mypy_cache .pytest_cache .ruff_cache .hypothesis frontend/node_modules src/shipit/web/dist
