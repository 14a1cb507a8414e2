# Everything from a fresh clone: each target does its own set-up in .venv. `make PYTHON=python3.12 test` picks a Python.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.requirements-installed
REQUIREMENTS := dev-requirements.txt dev-requirements-nodeps.txt
# processes for the tests; each computes on one thread, so more than the cores does not pay
JOBS ?= 2
FOLDERS := samplers demo commands

export OMP_NUM_THREADS := 1
# all processes must list the tests in the same order, also where a parametrised list comes from a set
export PYTHONHASHSEED := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup demo test check clean

setup: $(STAMP)

$(STAMP): $(REQUIREMENTS)
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet -r dev-requirements.txt
	$(PY) -m pip install --quiet --no-deps -r dev-requirements-nodeps.txt
	touch $@

demo: setup
	$(PY) . demo

test: setup
	$(PY) -m pytest -n $(JOBS)

# mypy must see the checkout under its package name, whatever the folder is called: hence the link
check: setup
	$(PY) -m ruff check .
	mkdir -p $(VENV)/typecheck && ln -sfn ../.. $(VENV)/typecheck/fewstep
	MYPYPATH=$(VENV)/typecheck $(PY) -m mypy -m fewstep -m fewstep.__main__ $(FOLDERS:%=-p fewstep.%)

clean:
	rm -rf $(VENV) out build dist *.egg-info
