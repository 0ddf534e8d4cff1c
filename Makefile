PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# One thread per process: the tests run side by side, and more threads than cores make each of them slower.
export OMP_NUM_THREADS ?= 1

DATA ?= ../shared
WORK ?= build/real-runs
MINUTES ?= 10
SEED ?= 0

.PHONY: demo test test-telling test-slow fuzz check benchmarks real-runs clean

## demo: set everything up and run the whole way from media to tables
demo: $(READY)
	$(BIN)/python -m benchmarks.demo --out demo

## test: set everything up and pass the tests
test: $(READY) check
	$(BIN)/python -m pytest -n 2 -q

## test-telling: kills, signals and whole runs, many seconds each
test-telling: $(READY)
	$(BIN)/python -m pytest -n 2 -q -m 'telling and not slow'

## test-slow: the checks that take minutes, a hundred kills among them
test-slow: $(READY)
	$(BIN)/python -m pytest -q -m slow

## fuzz: alter every kind of file that a command reads, for MINUTES, from a SEED; keeps what found a fault in build/faults
fuzz: $(READY)
	$(BIN)/python -m benchmarks.robustness --mutations 100000 --minutes $(MINUTES) --seed $(SEED) --keep build/faults

## check: style and types
check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

## benchmarks: measure again what benchmarks/results reports
benchmarks: $(READY)
	$(BIN)/python -m benchmarks.store_io
	$(BIN)/python -m benchmarks.start_up
	$(BIN)/python -m benchmarks.extraction
	$(BIN)/python -m benchmarks.grid
	$(BIN)/python -m benchmarks.result_files
	$(BIN)/python -m benchmarks.rows
	$(BIN)/python -m benchmarks.decoding
	$(BIN)/python -m benchmarks.audit
	$(BIN)/python -m benchmarks.window_story
	$(BIN)/python -m benchmarks.fusion_optimum
	$(BIN)/python -m benchmarks.interval_simulation
	$(BIN)/python -m benchmarks.manifest_scale
	$(BIN)/python -m benchmarks.choice_bias
	$(BIN)/python -m benchmarks.many_layers
	$(BIN)/python -m benchmarks.demo --record

## real-runs: the tables on real clips, transcripts and vectors; DATA names the folder that holds them
real-runs: $(READY)
	$(BIN)/python -m benchmarks.real_runs --data $(DATA) --work $(WORK)
	$(BIN)/python -m benchmarks.finetuned_runs --data $(DATA) --work $(WORK)
	$(BIN)/python -m benchmarks.mosi_strategies --data $(DATA)
	$(BIN)/python -m benchmarks.mouth_agreement --clips $(DATA)/data/ravdess
	$(BIN)/python -m benchmarks.poolings --data $(DATA)
	$(BIN)/python -m benchmarks.transcripts --data $(DATA)
	$(BIN)/python -m benchmarks.held_out_model --data $(DATA)
	$(BIN)/python -m benchmarks.long_film --data $(DATA)
	$(BIN)/python -m benchmarks.precision --data $(DATA)
	$(BIN)/python -m benchmarks.extraction --encoder $(DATA)/models/whisper-tiny --clips $(DATA)/data/ravdess --limit 64
	$(BIN)/python -m benchmarks.finetuning --encoder $(DATA)/models/whisper-tiny --encoder $(DATA)/models/all-MiniLM-L6-v2
	$(BIN)/python -m benchmarks.render_readme

## clean: remove the environment and the demo
clean:
	rm -rf $(VENV) demo

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[extract,interchange,dev]'
	touch $@
