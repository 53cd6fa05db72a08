# Everything a checkout needs. `make demo` and `make test` each work alone on a fresh Debian or Ubuntu with Python 3.11.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The default spin-wait of OpenMP slows processes that share cores 3 to 20 times.
export OMP_WAIT_POLICY := PASSIVE

.PHONY: help install demo test test-slow soak check format protos bench images push load-kind load-k3s sample-clip \
	sample-actor clean

help: ## lists the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  \1\t/' | expand -t 16

install: $(VENV)/.installed ## makes .venv with the tested set of packages

$(VENV)/.installed: requirements.lock pyproject.toml scripts/install.sh
	PYTHON="$(PYTHON)" bash scripts/install.sh $(VENV)
	touch $@

demo: install ## transfers the sample clip to the sample actor: out/demo.mp4, out/demo.png
	$(BIN)/python -m samples.demo

test: install ## the quick tests
	$(BIN)/python -m pytest -m "not slow" -q -n logical --maxprocesses 4 --dist loadfile

test-slow: install ## the slow and the GPU tests
	$(BIN)/python -m pytest -m "slow or gpu" --timeout 1800

# MINUTES=60 for an hour.
soak: install ## twenty minutes of sessions that come and go in every way: does anything grow? (docs/images/soak.png)
	$(BIN)/python -m tests.faults.soak --minutes $(or $(MINUTES),20) --plot docs/images/soak.png

check: install ## format, lint, types, generated code without a diff
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	cd protos && ../$(BIN)/buf lint && ../$(BIN)/buf format --diff --exit-code
	$(BIN)/python scripts/generate_protos.py --check

format: install ## formats what `check` checks
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	cd protos && ../$(BIN)/buf format --write

protos: install ## generates protos/gen from protos/dance
	$(BIN)/python scripts/generate_protos.py

bench: install ## pipeline, generator, what the chain costs, live, many sessions, memory
	$(BIN)/python -m benchmarks.pipeline
	$(BIN)/python -m benchmarks.chain_cost
	$(BIN)/python -m benchmarks.live
	$(BIN)/python -m benchmarks.sessions
	$(BIN)/python -m benchmarks.greedy
	$(BIN)/python -m benchmarks.memory

images: ## builds all container images: docs/images.md; IMAGES="pose face" builds these
	$(PYTHON) scripts/images.py build $(IMAGES)

push: ## builds all images, pushes them to REGISTRY=registry.example/me, and names them in the manifests
	$(PYTHON) scripts/images.py push --registry "$(REGISTRY)" $(IMAGES)

load-kind: ## loads the images into a kind cluster, CLUSTER=kind
	$(PYTHON) scripts/images.py load-kind --cluster "$(or $(CLUSTER),kind)" $(IMAGES)

load-k3s: ## loads the images into the k3s of this machine
	$(PYTHON) scripts/images.py load-k3s $(IMAGES)

sample-clip: install ## draws samples/source_clip.mp4 again
	$(BIN)/python -m samples.make clip -o samples/source_clip.mp4

sample-actor: install ## draws the sample actor's footage and trains the sample actor again (half an hour on two cores)
	$(BIN)/python -m samples.make footage -o out/sample/actor_footage.mp4
	rm -rf out/sample/actors
	$(BIN)/dance train out/sample/actor_footage.mp4 --actor sample --minutes 20 --actors out/sample/actors --work out/sample \
		--consent "Nobody's: the sample actor is drawn by samples/renderer/draw.py."
	rm -rf samples/actors/sample/1 && cp -r out/sample/actors/sample/1 samples/actors/sample/1

clean: ## removes what was built here, but no actor
	rm -rf $(VENV) out .pytest_cache .mypy_cache .ruff_cache .hypothesis
