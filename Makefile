# `make` alone lists what there is. Everything runs with .venv's own Python; nothing has to be activated.
# Make hands variables given on its command line to the recipes' environment: read there, quotes in them do no harm.
SHELL  := /bin/sh
VENV   := .venv
VENV_AIRFLOW := .venv-airflow
PY     := $(VENV)/bin/python
BIN    := $(VENV)/bin
CLM    := $(BIN)/clm
STAMPS := $(VENV)/.stamps
# Only `make lock` needs it, and a lock that cannot be installed must still be mendable: hence not in the lock itself.
UV     := .uv/bin/uv
UV_PIN := uv==0.13.9
# `make lock UPGRADE=1` takes newer versions; without it what is pinned stays.
COMPILE = $(UV) pip compile --no-config --universal --python-version 3.11 --generate-hashes \
          --no-emit-index-url --no-emit-find-links --quiet --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

# What Airflow was tested with: its official constraints are all that was newest on the day of its release. The provider
# that knows Spark 4.2 is newer. Move the days with the version in requirements/airflow.in.
AIRFLOW_AS_OF = --exclude-newer 2026-09-17T12:00:00Z \
          $(foreach package,apache-airflow-providers-apache-spark apache-airflow-providers-common-compat,\
          --exclude-newer-package $(package)=2026-10-25T00:00:00Z)

# The editable install maps each top-level folder by name, so a new one needs it again.
PACKAGES := $(wildcard conf/__init__.py schemas/__init__.py expectations/__init__.py jobs/__init__.py)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup java demo test check audit lock docs run backfill doctor real drills oracle bench dist clean \
        airflow airflow-stop test-airflow

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: java $(STAMPS)/install $(STAMPS)/jars ## make .venv: locked packages, this project, the Delta jars

# ${JAVA_HOME} first, then PATH: the order of Spark's launcher. "1.8.0" is how Java 8 calls itself: its first number is 1.
java:
	@java="$${JAVA_HOME:+$$JAVA_HOME/bin/}java"; \
	version=$$("$$java" -version 2>&1 | sed -n 's/.*version "\([0-9][0-9]*\).*/\1/p' | head -n 1); \
	if [ -z "$$version" ]; then echo "Java was not found: install Java 17 or newer, or set JAVA_HOME." >&2; exit 1; fi; \
	if [ "$$version" -lt 17 ]; then \
	  echo "Java 17 or newer is needed, and '$$java' is older: install one, or set JAVA_HOME." >&2; exit 1; fi

$(STAMPS)/venv:
	@for python in $(PYTHON) python3.11 python3 python3.12 python3.13; do \
	  if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    "$$python" -m venv $(VENV) && mkdir -p $(STAMPS) && touch $@; exit; fi; done; \
	echo "Python 3.11 or newer with its venv module was not found: install it, or say make PYTHON=/path/to/python3." >&2; exit 1

# The build tool goes in first and builds without isolation: an isolated build would fetch it unpinned.
$(STAMPS)/packages: $(STAMPS)/venv requirements/build.txt requirements/pipeline.txt
	@echo "Installing the locked packages (the first time takes a few minutes) ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --no-build-isolation -r requirements/pipeline.txt
	@touch $@

$(STAMPS)/install: $(STAMPS)/packages pyproject.toml $(PACKAGES)
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMPS)/jars: $(STAMPS)/packages requirements/jars.txt requirements/fetch_jars.py
	@$(PY) requirements/fetch_jars.py
	@touch $@

# Older releases of pip refuse what the lock says of extras, hence without dependencies: `pip check` looks instead.
$(STAMPS)/airflow: $(STAMPS)/venv requirements/airflow.txt
	@echo "Installing Airflow (a few minutes) ..."
	@$(PY) -m venv $(VENV_AIRFLOW)
	@$(VENV_AIRFLOW)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/airflow.txt
	@$(VENV_AIRFLOW)/bin/python -m pip check --disable-pip-version-check
	@touch $@

airflow: setup $(STAMPS)/airflow ## Airflow on 127.0.0.1 with the DAGs of this checkout
	@dags/airflow.sh start

airflow-stop: ## end it, with what it has started
	@dags/airflow.sh stop

demo: setup ## a small made-up super-app through the whole night, from deliveries to lists
	@$(CLM) demo

test: setup $(STAMPS)/airflow ## the tests, without the slow ones; those on real data skip where it is absent
	@$(PY) -m pytest -m "not slow and not airflow" -n 2 --dist loadfile --no-loadscope-reorder

check: setup ## format, lint, types, import rules, dependencies, generated docs in step
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(PY) -m schemas.docs --check
	$(PY) -m dags.docs --check
	$(PY) -m tests.oracle.coverage

# Outside `check`: what is known changes without a change of ours, and it needs PyPI itself.
audit: $(STAMPS)/packages ## known vulnerabilities of every locked package (not of the jars)
	@$(PY) requirements/audit.py

docs: setup ## write the generated docs anew
	@$(PY) -m schemas.docs
	@$(PY) -m dags.docs

run: setup ## one night: make run DATE=2026-11-23
	@$(CLM) run $${DATE:+--date "$$DATE"}

backfill: setup ## past days again: make backfill FROM=2026-11-01 TO=2026-11-07 REASON="..."
	@if [ -z "$$FROM" ] || [ -z "$$TO" ] || [ -z "$$REASON" ]; then \
	  echo 'Usage: make backfill FROM=2026-11-01 TO=2026-11-07 REASON="why"' >&2; exit 2; fi
	@$(CLM) backfill --from "$$FROM" --to "$$TO" --reason "$$REASON"

doctor: setup ## is this machine and this lake well?
	@$(CLM) doctor

real: setup ## the checks on a folder of real deliveries: make real DATA=/path/to/folder
	@if [ -z "$$DATA" ]; then echo "Usage: make real DATA=/path/to/folder" >&2; exit 2; fi
	@$(PY) -m tests.real --data "$$DATA"

drills: setup ## the slow tests: kills, races, broken input
	@$(PY) -m pytest -m slow

test-airflow: setup $(STAMPS)/airflow ## nights, backfills and kills by a real scheduler (half an hour)
	@$(PY) -m pytest -m airflow tests/airflow

oracle: setup ## the same nights by DuckDB, compared row by row: a simulated month, and UCI where it is
	@$(PY) -m tests.oracle both

bench: setup ## the same nights by DuckDB, beside ours: make bench SIZES=S,M,L RUNS=3 (docs/performance.md)
	@$(PY) -m tests.bench --sizes "$${SIZES:-S,M}" --runs "$${RUNS:-3}"

# build/ is removed first: a module deleted from the tree would live on in the wheel.
dist: setup ## the wheel, and the same as dist/clm_lake.zip for spark-submit --py-files
	@rm -rf build dist
	@$(PY) -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	@cp dist/clm_lake-*.whl dist/clm_lake.zip
	@ls dist

lock: $(STAMPS)/venv ## pin every version with its sha256 anew (UPGRADE=1 takes newer ones)
	@test -x $(UV) || $(PY) -m venv .uv
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check $(UV_PIN)
	@$(COMPILE) --group build --output-file requirements/build.txt
	@$(COMPILE) pyproject.toml --group dev --output-file requirements/pipeline.txt
	@$(COMPILE) $(AIRFLOW_AS_OF) requirements/airflow.in --output-file requirements/airflow.txt

clean: ## remove what make made, not the lake
	@rm -rf $(VENV) $(VENV_AIRFLOW) .uv build dist clm_lake.egg-info
