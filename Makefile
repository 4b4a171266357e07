# make demo | test | lint | golden | standins | clean; PYTHON=python3.11 chooses the interpreter of the environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
GOLDEN ?= ../shared/golden
INSTALLED := $(VENV)/installed

.PHONY: install demo test test-unit lint golden standins clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(INSTALLED)
	$(BIN)/python jobs/full_pipeline.py --out runs/demo

test: $(INSTALLED)
	$(BIN)/python -m pytest -q -m "not gpu"

test-unit: $(INSTALLED)
	$(BIN)/python -m pytest -q -m "not gpu and not ray and not slow"

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

golden: $(INSTALLED)
	$(BIN)/python -m tests.golden.compare $(GOLDEN)

standins: $(INSTALLED)
	$(BIN)/python jobs/standins.py

clean:
	rm -rf $(VENV) runs build dist *.egg-info
