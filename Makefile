# One environment, .venv, serves every target. It is brought up to date when pyproject.toml or
# constraints.txt is newer than the last installation, and left alone otherwise.
#
#   PYTHON       the interpreter that .venv is made from (3.11 or newer)
#   PIP_ARGS     more arguments for pip install
#   EXTRAS       more extras for the tests, such as rl,inspect: without one, its tests are skipped
#   PYTEST_ARGS  more arguments for pytest
#
# On Linux, pip's own choice of torch is the CUDA build: gigabytes, and right for a GPU. Where
# there is none, the CPU build is a small part of that:
#
#   make demo PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"

PYTHON ?= python3
PIP_ARGS ?=
EXTRAS ?=
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
DEV := $(VENV)/.dev$(if $(EXTRAS),-$(EXTRAS))
INPUTS := pyproject.toml constraints.txt setup.py src/etude/judge/_native.c
FULL := train,report,data,browse
# Of the packages, only what a run imports is compiled to bytecode: a minute less.
USED := etude.session, etude.training, etude.engines.transformers, etude.tiny.model
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile \
	-c constraints.txt $(PIP_ARGS)

COMMA := ,

# The stamps order the work; two installations into one environment must not run at once.
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo demo-cluster test survive check docs clean

help:
	@echo "make demo    run the whole loop on this machine, with nothing to download but packages"
	@echo "make demo-cluster   the same on Ray, on two nodes of this machine; the tables must be the same"
	@echo "make test    run the tests (all but those that need a GPU or Ray)"
	@echo "make survive kill, damage and interrupt runs in every way there is: about an hour"
	@echo "make check   lint, formatting and types"
	@echo "make docs    build the site of the documents into site/"
	@echo "make clean   remove .venv and what the tools leave; the runs stay"
	@echo
	@echo "Variables: PYTHON=$(PYTHON)  PIP_ARGS=$(PIP_ARGS)  EXTRAS=$(EXTRAS)  PYTEST_ARGS=$(PYTEST_ARGS)"
	@echo "No GPU? PIP_ARGS=\"--extra-index-url https://download.pytorch.org/whl/cpu\" gets a smaller torch."

demo: $(VENV)/.train
	@$(BIN)/etude run

# Against the run of `make demo`, which is made first where it is not there.
demo-cluster: $(VENV)/.ray
	@test -f runs/tiny/final/evaluate/scores.parquet || $(BIN)/etude run
	@$(BIN)/python benchmarks/cluster.py --recipe tiny --nodes 2 --against runs/tiny \
		--out runs/tiny-cluster

test: $(DEV)
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder \
		-m "not gpu and not ray" $(PYTEST_ARGS)

survive: $(DEV)
	@rm -rf runs/survival; mkdir -p runs/survival
	@ETUDE_KILLS=50 ETUDE_SURVIVAL=runs/survival ETUDE_SURVIVAL_LOG=runs/survival/kills.md \
		$(BIN)/python -m pytest -v --durations=0 tests/survival tests/test_places.py \
		$(PYTEST_ARGS)
	@cat runs/survival/kills.md
	@ETUDE_KILLS=50 $(BIN)/python -m pytest -v -m "long and not gpu and not ray" tests \
		--ignore=tests/survival --ignore=tests/test_places.py $(PYTEST_ARGS)

check: $(DEV)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(VENV)/.docs
	@$(BIN)/python -m zensical build --strict

clean:
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Only its existence counts: the file is a link to an interpreter that may be years old. It is
# taken away when venv fails half-way, so that the next try starts afresh.
$(BIN)/python:
	@found=$$($(PYTHON) -c 'import platform; print(platform.python_version())' 2>/dev/null) \
		|| { echo "etude needs Python 3.11 or newer, but '$(PYTHON)' does not run:" \
			"name one, for example make demo PYTHON=python3.12" >&2; exit 1; }; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "etude needs Python 3.11 or newer, but '$(PYTHON)' is Python $$found:" \
			"name another, for example make demo PYTHON=python3.12" >&2; exit 1; }; \
	echo "Making $(VENV) with Python $$found"; \
	$(PYTHON) -m venv $(VENV) || { rm -f $@; exit 1; }

$(VENV)/.train: $(INPUTS) | $(BIN)/python
	@echo "Installing etude and what its verbs need into $(VENV) (torch is large: minutes)"
	@$(PIP_INSTALL) -e '.[$(FULL)]'
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -c "import $(USED)"
	@touch $@

$(DEV): $(VENV)/.train
	@echo "Installing the tools for development into $(VENV)"
	@$(PIP_INSTALL) -e '.[$(FULL),dev$(if $(EXTRAS),$(COMMA)$(EXTRAS))]'
	@touch $@

$(VENV)/.ray: $(VENV)/.train
	@echo "Installing Ray into $(VENV)"
	@$(PIP_INSTALL) -e '.[$(FULL),ray]'
	@touch $@

$(VENV)/.docs: $(INPUTS) | $(BIN)/python
	@echo "Installing what builds the documents into $(VENV)"
	@$(PIP_INSTALL) -e '.[docs]'
	@touch $@
