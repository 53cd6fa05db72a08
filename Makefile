# Everything a checkout needs. `make demo` and `make test` each work on a fresh Debian or Ubuntu with Python 3.11 or 3.12.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
# Many tests wait for processes, so one worker more than there are cores keeps these busy.
TEST_WORKERS := $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores < 4 ? cores + 1 : 4)))
BIN := $(VENV)/bin
# OpenMP's default spin-wait makes processes that share cores 3 to 20 times slower.
export OMP_WAIT_POLICY := PASSIVE

# Tests start hundreds of processes. Without compiled files, which some images switch off, each compiles all modules.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo web test test-one test-slow soak check format protos bench images push load-kind load-k3s sample-clip \
	sample-actor clean

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  \1\t/' | expand -t 16

install: $(VENV)/.installed ## create .venv with the tested versions of all packages

$(VENV)/.installed: requirements.lock pyproject.toml scripts/install.sh
	PYTHON="$(PYTHON)" bash scripts/install.sh $(VENV)
	touch $@

demo: install ## transfer the sample clip to the sample actor: out/demo.mp4, out/demo.png
	$(BIN)/python -m samples.demo

web: install ## dance in your browser as the sample actor: http://localhost:8080/
	$(BIN)/dance up --web --actors samples/actors

test: install ## run the quick tests
	$(BIN)/python -m pytest -m "not slow" -q -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

test-one: install ## run one file or folder of tests: T=tests/unit/test_readme.py
	$(if $(T),,$(error name the tests to run: make test-one T=tests/unit/test_readme.py))
	$(BIN)/python -m pytest $(T) -q

test-slow: install ## run the slow tests and those that need a GPU
	$(BIN)/python -m pytest -m "slow or gpu" --timeout 1800

soak: install ## run sessions that come and go for MINUTES=20: does any process grow? (docs/images/soak.png)
	$(BIN)/python -m tests.faults.soak --minutes $(or $(MINUTES),20) --plot docs/images/soak.png

check: install ## check format, lint, types, and that generated code is up to date
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	cd protos && ../$(BIN)/buf lint && ../$(BIN)/buf format --diff --exit-code
	$(BIN)/python scripts/generate_protos.py --check

format: install ## fix the format that `check` complains about
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	cd protos && ../$(BIN)/buf format --write

protos: install ## generate protos/gen from protos/dance
	$(BIN)/python scripts/generate_protos.py

bench: install ## measure the pipeline, the chain, live latency, sessions, streams, fairness, memory and the watermark
	$(BIN)/python -m benchmarks.pipeline
	$(BIN)/python -m benchmarks.chain_cost
	$(BIN)/python -m benchmarks.live
	$(BIN)/python -m benchmarks.sessions
	$(BIN)/python -m benchmarks.greedy
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.pose_engine
	$(BIN)/python -m benchmarks.streams
	$(BIN)/python -m benchmarks.watermark

images: ## build all container images (docs/images.md), or IMAGES="pose face"
	$(PYTHON) scripts/images.py build $(IMAGES)

push: ## build all images, push them to REGISTRY=registry.example/me, and name them in the manifests
	$(PYTHON) scripts/images.py push --registry "$(REGISTRY)" $(IMAGES)

load-kind: ## load the images into a kind cluster, CLUSTER=kind
	$(PYTHON) scripts/images.py load-kind --cluster "$(or $(CLUSTER),kind)" $(IMAGES)

load-k3s: ## load the images into this machine's k3s
	$(PYTHON) scripts/images.py load-k3s $(IMAGES)

sample-clip: install ## draw samples/source_clip.mp4 again
	$(BIN)/python -m samples.make clip -o samples/source_clip.mp4

sample-actor: install ## draw the sample actor's footage and make the sample actor again (20 minutes on two busy cores)
	$(BIN)/python -m samples.make footage -o out/sample/actor_footage.mp4
	rm -rf out/sample/actors
	$(BIN)/dance train out/sample/actor_footage.mp4 --actor sample --frames 300 --actors out/sample/actors --work out/sample \
		--consent samples/consent.json
	$(BIN)/python -m samples.make actor --trained out/sample/actors

clean: ## remove what was built here; actors/, work/ and evaluation/ stay
	rm -rf $(VENV) out .pytest_cache .mypy_cache .ruff_cache .hypothesis
