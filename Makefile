# `make demo` and `make test` are all a newcomer needs; both are safe to repeat.
.PHONY: help prepare demo test unit integration conformance conformance-ingress faults faults-short fuzz e2e lint bench cluster-up cluster-down install generate clean

PYTHON := .venv/bin/python
CLUSTER := dev/cluster
TEST_ENV := PYTHONPATH=dev

help:  ## say what there is
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

prepare:  ## .venv with pinned packages
	@dev/prepare

demo: prepare  ## from a bare machine to a session that is typed into; leaves the cluster running
	@$(CLUSTER) demo

test: lint unit integration conformance faults-short e2e attacks-short  ## everything CI runs

unit: prepare launcher programs  ## unit tests: seconds, no cluster
	@$(PYTHON) -m pytest tests/unit -n 2

integration: prepare launcher programs  ## the real launcher and sidecar on a real pty, no cluster
	@$(PYTHON) -m pytest tests/integration

conformance: prepare launcher  ## the terminal against docs/terminal.md, with other people's clients
	@dev/peers
	@$(PYTHON) -m pytest tests/conformance

conformance-ingress: prepare install  ## the same through the cluster: ingress, gateway, sessions of its own; some 5 minutes
	@dev/peers
	@CODESESSIONS_CONFORMANCE=ingress $(PYTHON) -m pytest tests/conformance

faults-short: prepare launcher  ## kills, floods and noise, as CI has it
	@$(PYTHON) -m pytest tests/faults

faults: prepare launcher  ## the same in full: 1,000 exits, 200 kills, 4 GB, 10,000 random strings; some 15 minutes
	@CODESESSIONS_FAULTS=full $(PYTHON) -m pytest tests/unit/sidecar tests/unit/builder tests/unit/api tests/faults

fuzz: prepare  ## frames, text and old output under a fuzzer that is guided by coverage; 3 minutes
	@.dev/tools/bin/uv pip install -q -p .venv --target .dev/fuzz --require-hashes -r requirements/fuzz.txt
	@PYTHONPATH=.dev/fuzz:sidecar $(PYTHON) tests/fuzz/terminal.py

e2e: prepare launcher install  ## the chart on the real cluster, driven from outside
	@$(PYTHON) -m pytest tests/e2e --ignore=tests/e2e/ha

.PHONY: ha
ha: prepare install  ## two of each program: upgrades under load, a killed leader, a silent API server, helm test; 2 minutes
	@$(PYTHON) -m pytest tests/e2e/ha -s

attacks-short: prepare install  ## attacks on the installed product, as CI has them
	@dev/attacks
	@$(PYTHON) -m pytest tests/attacks

.PHONY: attacks attacks-short
attacks: prepare install  ## the same with ten times as many requests made of the API's document
	@dev/attacks
	@CODESESSIONS_ATTACKS=full $(PYTHON) -m pytest tests/attacks

lint: prepare  ## ruff, mypy --strict, import-linter, generated files
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo
	@$(PYTHON) -m codesessions_crds.generate --check
	@PYTHONPATH=dev $(PYTHON) -m codesessions_dev.licences --check

bench: prepare install  ## the benchmarks, side by side with peers
	@PYTHONPATH=dev:tests $(PYTHON) -m bench.create
	@PYTHONPATH=dev:tests $(PYTHON) -m bench.latency
	@PYTHONPATH=dev:tests $(PYTHON) -m bench.archive
	@PYTHONPATH=dev:tests $(PYTHON) -m bench.reads
	@PYTHONPATH=dev:tests $(PYTHON) -m bench.gateway

bench-terminal: prepare launcher  ## the terminal beside ttyd and terminado; through the ingress too where it is installed
	@dev/peers
	@PYTHONPATH=dev:tests $(PYTHON) -m bench.terminal

bench-load: prepare install  ## 100 sessions that type and poll at once, and 2,000 on simulated nodes; some 10 minutes
	@PYTHONPATH=dev:tests $(PYTHON) -m bench.load
	@PYTHONPATH=dev:tests $(PYTHON) -m bench.scale

.PHONY: programs
programs: prepare  # Helm and the registry, which tests use without a cluster
	@PYTHONPATH=dev $(PYTHON) -m codesessions_dev.local.binaries addons

.PHONY: launcher bench-terminal bench-load
launcher:
	@$(MAKE) -s -C sidecar/launcher

.PHONY: web
web: prepare  ## the web terminal's files, in web/dist
	@PYTHONPATH=dev $(PYTHON) -m codesessions_dev.web

generate: prepare  ## the CRDs from the models, the licence list from the pins
	@$(PYTHON) -m codesessions_crds.generate
	@PYTHONPATH=dev $(PYTHON) -m codesessions_dev.licences

cluster-up: prepare  ## a real one-node Kubernetes
	@$(CLUSTER) up

install: prepare  ## cluster, images and chart; writes .dev/env
	@$(CLUSTER) install

.PHONY: publish
publish: prepare  ## build the images and send them, with their bills of materials, to REGISTRY=HOST/PATH; writes build/images.yaml
	@PYTHONPATH=dev $(PYTHON) -m codesessions_dev.publish $(PUBLISH) "$(REGISTRY)"

cluster-down:  ## remove the cluster and all it left
	@if [ -x .venv/bin/python ]; then $(CLUSTER) down; fi

clean: cluster-down  ## cluster-down, then .venv, .dev and build results
	@$(MAKE) -s -C sidecar/launcher clean
	rm -rf .venv .dev build dist web/dist web/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
