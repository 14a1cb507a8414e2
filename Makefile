# Everything from a fresh clone: each target does its own set-up in .venv. `make PYTHON=python3.12 test` picks a Python.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.requirements-installed
REQUIREMENTS := dev-requirements.txt dev-requirements-nodeps.txt
# processes for the tests; each computes on one thread, so more than the cores does not pay
JOBS ?= 2
FOLDERS := samplers nodes a1111 demo commands benchmarks
# mypy and the benchmarks must see the checkout under its package name, whatever its folder is called: hence a link
PACKAGE := $(VENV)/package

# the tests inside ComfyUI: COMFYUI_PATH names a checkout, COMFYUI_PYTHON an interpreter that can run it (with pytest)
COMFY_VENV := .venv-comfy
COMFY_STAMP := $(COMFY_VENV)/.requirements-installed
COMFYUI_PYTHON ?= $(COMFY_VENV)/bin/python

# the tests inside A1111, Forge or reForge: WEBUI_PATH names a checkout, WEBUI_PYTHON the interpreter of its environment
WEBUI_STAMP := $(VENV)/.webui-requirements-installed

# the parts of the evidence, each a module of benchmarks/
BENCHES := exact networks network_peers tune quality claims cost sde

export OMP_NUM_THREADS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup demo test test-comfy test-webui check docs clean
.PHONY: bench $(BENCHES:%=bench-%) bench-defaults bench-page

setup: $(STAMP)

$(STAMP): $(REQUIREMENTS)
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet -r dev-requirements.txt
	$(PY) -m pip install --quiet --no-deps -r dev-requirements-nodeps.txt
	mkdir -p $(PACKAGE) && ln -sfn ../.. $(PACKAGE)/fewstep
	touch $@

demo: setup
	$(PY) . demo

test: setup
	$(PY) -m pytest -n $(JOBS)

ifeq ($(COMFYUI_PYTHON),$(COMFY_VENV)/bin/python)
test-comfy: $(COMFY_STAMP)
endif
test-comfy:
	$(COMFYUI_PYTHON) -m pytest tests/comfy

$(COMFY_STAMP): tests/comfy/requirements.txt
	test -x $(COMFY_VENV)/bin/python || $(PYTHON) -m venv $(COMFY_VENV)
	$(COMFY_VENV)/bin/python -m pip install --quiet -r tests/comfy/requirements.txt
	touch $@

test-webui: $(WEBUI_STAMP)
	$(PY) -m pytest tests/webui

$(WEBUI_STAMP): $(STAMP) tests/webui/requirements.txt
	$(PY) -m pip install --quiet -r tests/webui/requirements.txt
	touch $@

check: setup
	$(PY) -m ruff check .
	MYPYPATH=$(PACKAGE) $(PY) -m mypy -m fewstep -m fewstep.__main__ $(FOLDERS:%=-p fewstep.%)

# the tables of docs/, from the solver and schedule tables, and the English texts that translators start from
docs: setup
	$(PY) . list solvers --markdown > docs/solvers.md
	$(PY) . list schedules --markdown > docs/schedules.md
	$(PY) tests/make_locale.py

# hours on two cores; the page is made from what they leave in benchmarks/results. COMFYUI_PATH and WEBUI_PATH: the hosts'
# samplers too; DATA: the folder of Fashion-MNIST's files (Debian has them as dataset-fashion-mnist), for its test set
bench: $(BENCHES:%=bench-%) bench-page

$(BENCHES:%=bench-%) bench-defaults bench-page: bench-%: setup
	PYTHONPATH=$(PACKAGE) $(PY) -m fewstep.benchmarks.$* $(if $(filter quality,$*),$(DATA:%=--data %))

clean:
	rm -rf $(VENV) $(COMFY_VENV) out build dist *.egg-info
