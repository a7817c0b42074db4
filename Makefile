# Two commands for a newcomer: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FLOOR := .venv-floor
DOCS := .venv-docs
FLOOR_TESTS := tests/core/test_hooks.py tests/lora/test_parity.py \
	$(addprefix tests/commands/test_,run.py resume.py exported_adapter.py) \
	tests/export/test_formats.py

# Packages of quantized bases lie apart: PEFT imports them wherever they are, in every process.
QUANTIZED := .quantized
QUANTIZED_TESTS := tests/lora/test_quantization.py tests/commands/test_quantized.py

# Where submitit and Ray lie for their tests, apart from what is locked.
SLURM := .slurm
RAY := .ray

# MLflow and its server, for their tests: some of what they need differs from what is locked.
MLFLOW := .mlflow
MLFLOW_TESTS := tests/watch/test_watchers_contract.py tests/watch/test_mlflow_server.py

.PHONY: demo docs fuzz install install-dev test test-fast test-floor test-quantized test-slurm lint format clean test-ray test-plans test-mlflow

demo: install
	$(BIN)/python -m sweep +experiment=lora_demo

# Each process loads torch and starts workers of its own: more than four take more than they save.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

test: install-dev
	$(PYTEST)

# Without what trains a model and what takes longer: simulations, a browser, processes, databases.
test-fast: install-dev
	$(PYTEST) -m "not trains and not long"

# With the lowest versions that pyproject.toml promises.
test-floor: $(FLOOR)/installed
	$(PYTEST:$(BIN)%=$(FLOOR)/bin%) $(FLOOR_TESTS)

# With bitsandbytes and torchao: without them these tests are skipped.
test-quantized: install-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target $(QUANTIZED) bitsandbytes==0.50.2 torchao==0.18.0
	PYTHONPATH=$(QUANTIZED) $(PYTEST) $(QUANTIZED_TESTS)

# The plan of every model group at its true size, with random weights: minutes a model on a CPU.
test-plans: install-dev
	SWEEP_PLANS=1 $(BIN)/python -m pytest -rs tests/budget/test_model_groups.py

# Docstrings are read, not imported, so that nothing of the program's own packages is needed.
docs:
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check \
		mkdocs==1.6.1 mkdocstrings==1.0.8 mkdocstrings-python==2.0.11
	$(DOCS)/bin/python -m mkdocs build --strict --quiet

# Against a real Slurm; where none runs, root starts one with two nodes here. Jobs have folders of
# their own, so that paths are whole.
# Without these, the tests are skipped, and say why.
test-slurm: install-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade \
		--target $(SLURM) submitit==1.5.4
	PYTHONPATH=$(CURDIR)/$(SLURM):$(CURDIR)/tests/helpers $(BIN)/python -m pytest -rs tests/execute/test_slurm.py \
		tests/commands/test_submit.py
	PYTHONPATH=$(CURDIR)/$(SLURM):$(CURDIR)/tests/helpers $(BIN)/python -m pytest -rs -k slurm \
		tests/execute/test_executors.py tests/execute/test_stop.py

# Several nodes of Ray on this machine, also as nodes of Slurm where there is one; needs some 3 GB of memory.
test-ray: install-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade \
		--target $(RAY) ray==2.60.0 submitit==1.5.4
	PYTHONPATH=$(CURDIR)/$(RAY):$(CURDIR)/tests/helpers $(BIN)/python -m pytest -rs -k ray \
		tests/execute/test_executors.py tests/execute/test_stop.py tests/execute/test_ray.py \
		tests/commands/test_on_ray.py tests/docs/test_ray_on_slurm.py

# Bytes and words at random against all that is read, for ten minutes or so; the suite takes seconds.
fuzz: install-dev
	SWEEP_FUZZ=3000 $(BIN)/python -m pytest --hypothesis-show-statistics tests/core/test_fuzz.py

# Against a real server of MLflow, which the tests start; without it they are skipped, and say why.
test-mlflow: install-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target $(MLFLOW) --requirement requirements-mlflow.lock
	PYTHONPATH=$(CURDIR)/$(MLFLOW) $(BIN)/python -m pytest -rs $(MLFLOW_TESTS)

# The notebook in a real kernel, interrupted and gone on with.
test-jupyter: install-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade \
		--target $(JUPYTER) ipykernel==7.4.0 jupyter_client==8.10.0
	PYTHONPATH=$(CURDIR)/$(JUPYTER) $(BIN)/python -m pytest -rs tests/docs/test_kernel.py

lint: install-dev
	$(BIN)/ruff format --check src tests benchmarks tools
	$(BIN)/ruff check src tests benchmarks tools
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install-dev
	$(BIN)/ruff format src tests benchmarks tools
	$(BIN)/ruff check --fix src tests benchmarks tools

install: $(VENV)/installed
install-dev: $(VENV)/installed-dev

$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	@touch $@

$(FLOOR)/installed: pyproject.toml tools/floors.py
	$(PYTHON) -m venv $(FLOOR)
	$(FLOOR)/bin/python tools/floors.py wandb figures cmaes onnx test > $(FLOOR)/floors.txt
	$(FLOOR)/bin/python -m pip install --quiet --disable-pip-version-check -r $(FLOOR)/floors.txt
	$(FLOOR)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

clean:
	rm -rf $(VENV) $(FLOOR) $(DOCS) $(QUANTIZED) $(SLURM) $(RAY) $(MLFLOW) $(JUPYTER) .pytest_cache .mypy_cache .ruff_cache
