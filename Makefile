# Everything runs in .venv and .colcon, which scripts/bootstrap.py makes and keeps up to date.
# On a machine that has ROS 2 use colcon and ros2 launch instead: see README.md.

PYTHON ?= python3
SOURCE ?=
SECONDS ?=
MODEL ?=
PYTEST ?=
FUZZ ?=
EXTRAS ?=
MINUTES ?= 60

ROS = . .colcon/env.sh &&
BOOTSTRAP = @$(PYTHON) scripts/bootstrap.py

.DEFAULT_GOAL := help
.PHONY: help demo test test-floors fuzz lint format hooks docs soak gpu-check clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile

demo:  ## camera, detector and listener over real DDS; SOURCE=<photo|folder|video|/dev/videoN>
	$(BOOTSTRAP)
	@$(ROS) exec python -m examples.demo --source "$(SOURCE)" --model "$(MODEL)" $(if $(SECONDS),--seconds $(SECONDS))

test:  ## the whole test suite, on up to four cores; PYTEST="-k word -n 0" for a part, on one
	$(BOOTSTRAP) --tests
	@$(ROS) ROS_PYTHON_CHECK_FIELDS=1 exec python -m pytest -n auto --maxprocesses 4 $(PYTEST)

fuzz:  ## generated messages and files against what must always hold; SECONDS=600, FUZZ="--target bags --seed 7"
	$(BOOTSTRAP) --tests
	@$(ROS) exec python scripts/fuzz.py --seconds $(or $(SECONDS),600) $(FUZZ)

test-floors:  ## the suite's core with the lowest versions that setup.cfg declares; EXTRAS=train for training, too
	@$(PYTHON) scripts/test_floors.py --extras $(EXTRAS) --pytest "$(PYTEST)"

lint:  ## ruff, mypy and the import contracts
	$(BOOTSTRAP) --tests
	@$(ROS) ruff check . && ruff format --check . && mypy && lint-imports

format:  ## put imports and lines in order
	$(BOOTSTRAP) --tests
	@$(ROS) ruff check --fix . && ruff format .

docs:  ## write the reference pages (parameters, command line, messages) and config/detect.yaml from the code
	$(BOOTSTRAP) --tests
	@$(ROS) python scripts/write_reference.py

hooks:  ## run the checks of `make lint` before each commit
	$(BOOTSTRAP) --tests
	@$(ROS) exec pre-commit install

soak:  ## the detector at 30 Hz for MINUTES=60: memory, rate, drops
	$(BOOTSTRAP)
	@$(ROS) python -m benchmarks.soak --minutes $(MINUTES) --model "$(MODEL)"

gpu-check:  ## on an NVIDIA GPU: parity, speed and memory of all backends that $(PYTHON) has
	@PYTHONPATH=. $(PYTHON) benchmarks/gpu_check.py $(MODEL)
	@! $(PYTHON) -c "import pytest, hypothesis, onnx" 2>/dev/null || PYTHONPATH=. $(PYTHON) -m pytest -m "gpu or tensorrt" test/inference

clean:  ## remove everything that make made
	rm -rf .venv .venv-floors .colcon out *.egg-info
