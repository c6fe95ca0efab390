# `make` alone says what there is. Needs Python 3.11 or later with venv, and nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TESTS ?= tests
JOBS ?= 2
POLICIES ?= 1000000
FUZZ_SECONDS ?= 600

.DEFAULT_GOAL := help
.PHONY: help run demo test lint format types check bench fuzz audit docs clean
.DELETE_ON_ERROR:

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/product.stamp ## Run it all on http://127.0.0.1:8000 until Ctrl-C
	@$(BIN)/python manage.py migrate --verbosity 0
	@exec $(BIN)/python manage.py start

demo: $(VENV)/tests.stamp ## Run it against some forty made-up domains that live, without a mail server
	@exec $(BIN)/python -m tests.demo

test: $(VENV)/tests.stamp ## Run every test (REQUIRE_ALL=1: none may be skipped; SLOW=1: slow ones too)
	@tests/run $(BIN)/python -n $(JOBS) --dist loadgroup $(TESTS)

lint: $(VENV)/tests.stamp ## Check style, layers and migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run

format: $(VENV)/tests.stamp ## Put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/tests.stamp ## Check the types
	$(BIN)/mypy

check: lint types test ## All of the above, as CI does

bench: $(VENV)/tests.stamp ## Measure it all, an hour (docs/benchmarks*.md; POLICIES=100000: pages of fewer)
	$(BIN)/python -m bench
	$(BIN)/python -m bench.refresh
	$(BIN)/python -m bench.pages $(POLICIES)

docs: $(VENV)/docs.stamp ## Build the documentation as a site, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

fuzz: $(VENV)/tests.stamp ## Hostile input for every parser, for FUZZ_SECONDS
	@FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/python -m tests.fuzz

# In an environment of its own: it looks at requirements, and is none.
audit: $(VENV)/venv.stamp ## Known holes in the packages that it is made of (asks pypi.org)
	@test -x $(VENV)/audit/bin/pip-audit || { \
		$(BIN)/python -m venv $(VENV)/audit && \
		$(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit; }
	@$(VENV)/audit/bin/pip-audit --strict --requirement requirements.txt \
		--requirement requirements-dev.txt --requirement requirements-docs.txt

clean: ## Remove the virtual environment and caches; data stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage .coverage.*

# The stamps make the second run quick, and a changed list of requirements is installed again.
$(VENV)/product.stamp: requirements.txt | $(VENV)/venv.stamp
	@echo "Installing requirements.txt into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/docs.stamp: requirements-docs.txt | $(VENV)/venv.stamp
	@echo "Installing requirements-docs.txt into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	@touch $@

$(VENV)/tests.stamp: requirements.txt requirements-dev.txt requirements-docs.txt | $(VENV)/venv.stamp
	@echo "Installing requirements-dev.txt into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ $(VENV)/product.stamp

# Debian's python3 can make no virtual environment before python3-venv is there.
$(VENV)/venv.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) has to be Python 3.11 or later: apt-get install python3" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) has no venv: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@
