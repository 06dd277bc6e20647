# Everything here is one `python -m labkit ...` or `pip` line as well, so that it works where there is no make.
PYTHON ?= python3
# For CPU-only PyTorch give the address of its CPU wheel index: make tour TORCH_INDEX=...   (README, "GPU and CPU")
TORCH_INDEX ?=
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install --progress-bar off -c constraints.txt
# One process for each core, each with one thread: the tests are many small ones. A file stays with one process.
PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest
JOBS ?= auto
SHARED := -n $(JOBS) --maxprocesses 8 --dist loadfile

.PHONY: help tour lab apps test test-all notebooks check bench clean
help:
	@echo "make tour        run the walkthroughs and open build/tour/index.html"
	@echo "make lab         JupyterLab on the notebooks"
	@echo "make apps        all explorers as a dashboard"
	@echo "make test        the tests (make test-all: every notebook and every browser test)"
	@echo "make notebooks   write notebooks/*.ipynb from notebooks/*.py"
	@echo "make check       format, lint, types, notebook pairs, links"
	@echo "make bench       time and memory beside other libraries (make bench BENCH=--quick)"
	@echo "make clean       remove what was built (not the environment, not your runs)"

$(PY):
	@echo "labkit: making the environment $(VENV) with $(PYTHON)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "labkit needs Python 3.11 or newer; say which: make tour PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV) || (echo "labkit: could not make it; on Debian: apt-get install python3-venv"; rm -rf $(VENV); exit 1)

$(VENV)/.base: pyproject.toml constraints.txt | $(PY)
	@echo "labkit: installing labkit and what the walkthroughs need (one to five minutes, once)"
	@if [ -n "$(TORCH_INDEX)" ]; then $(PIP) -q --index-url $(TORCH_INDEX) torch; fi
	@$(PIP) -q -e '.[lm]'
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	@echo "labkit: installing what the tests need"
	@$(PIP) -q -e '.[lm,course,scale,dev]'
	@touch $@

$(VENV)/.apps: $(VENV)/.base
	@echo "labkit: installing Voila, which serves the dashboard"
	@$(PIP) -q -e '.[lm,apps]'
	@touch $@

tour: $(VENV)/.base
	@$(PY) -m labkit tour

lab: $(VENV)/.base
	@$(PY) -m labkit lab

apps: $(VENV)/.apps
	@$(PY) -m labkit apps

test: $(VENV)/.dev
	@$(PYTEST) $(SHARED) -m "not thorough"

test-all: $(VENV)/.dev
	@$(PYTEST) $(SHARED)

notebooks: $(VENV)/.base
	@$(PY) -m labkit notebooks

check: $(VENV)/.dev
	@echo "labkit: format";       $(PY) -m ruff format --check .
	@echo "labkit: lint";         $(PY) -m ruff check .
	@echo "labkit: types";        $(PY) -m mypy
	@echo "labkit: pairs";        $(PY) -m labkit notebooks --check
	@echo "labkit: links";        $(PYTEST) -q tests/test_links.py

bench:
	@TORCH_INDEX=$(TORCH_INDEX) $(PYTHON) tests/benchmarks/run.py $(BENCH)

clean:
	@echo "labkit: removing build/, dist/ and caches; the environment $(VENV) and your runs stay"
	@rm -rf build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
