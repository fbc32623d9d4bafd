# make demo: watch traces cross Kafka. make test: the whole suite. Both need Python >= 3.11 and nothing else.
# PYTHON=/path/to/python chooses the interpreter of the new environment, ARGS="..." is passed on.

VENV ?= .venv
PYTHON ?=
ARGS ?=
# Coverage has to be there before pytest is: our own pytest plugin imports mqtrace as pytest starts.
PYTEST ?= $(BIN)/python -m pytest

BIN := $(VENV)/bin
STAMPS := $(VENV)/.made
# An environment that was made for an older pyproject.toml is brought up to date; otherwise nothing is installed.
INSTALL = $(BIN)/python .ci/install.py

# Whose names users may rely on; what is below mqtrace follows its __all__.
PUBLIC := mqtrace mqtrace.logging mqtrace.otel mqtrace.testing

.PHONY: help test core demo bench soak reference w3c upstream lint format clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo    run a small shop on an embedded Kafka and draw its traces'
	@echo 'make test    run the tests'
	@echo 'make core    run the tests on a second core (MQTRACE_CORE), to see that nobody looks behind mqtrace.core'
	@echo 'make lint    ruff, mypy, pyright, import rules'
	@echo 'make format  let ruff format the code'
	@echo 'make bench   measure the overhead beside the bare client and OpenTelemetry: ten minutes, ARGS=--full for the table'
	@echo 'make soak    minutes of load on a Kafka that is killed and frozen, every span accounted for: ARGS="--minutes 3"'
	@echo 'make reference  every public name and what it says of itself, as pages in build/reference'
	@echo 'make w3c     the W3C'\''s suite for Trace Context, from the checkout that W3C_TRACE_CONTEXT names'
	@echo 'make upstream  the suites of Celery, kombu, pika (PIKA_SOURCE) and confluent-kafka (CONFLUENT_SOURCE), wrapped'
	@echo 'make clean   remove the environment and what was built'

test: $(STAMPS)/test
	$(PYTEST) $(ARGS)

core: $(STAMPS)/test
	MQTRACE_CORE=second_core PYTHONPATH=$(CURDIR)/tests/core/second $(PYTEST) $(ARGS)

demo: $(STAMPS)/demo
	$(BIN)/mqtrace demo $(ARGS)

bench: $(STAMPS)/bench
	$(BIN)/python -m bench $(ARGS)

soak: $(STAMPS)/test
	$(BIN)/python -m bench.soak $(ARGS)

reference: $(STAMPS)/reference
	$(BIN)/pdoc --docformat restructuredtext --no-show-source --output-directory build/reference $(PUBLIC)

w3c: $(STAMPS)/w3c
	$(BIN)/python -m tests.w3c $(ARGS)

upstream: $(STAMPS)/upstream
	$(BIN)/python -m tests.upstream $(ARGS)

lint: $(STAMPS)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(STAMPS)/test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(STAMPS)/%: pyproject.toml | $(STAMPS)/venv
	@$(INSTALL) $*
	@touch $@

$(STAMPS)/venv:
	@set -e; \
	for candidate in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11 python); do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then found=$$candidate; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo 'No Python >= 3.11 was found ($(if $(PYTHON),$(PYTHON),python3)): install one, or say PYTHON=/path/to/python.' >&2; exit 1; \
	fi; \
	echo "Making an environment in $(VENV) with $$found: some ten seconds."; \
	test -x $(BIN)/python || "$$found" -m venv $(VENV); \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip; \
	mkdir -p $(STAMPS); touch $@
