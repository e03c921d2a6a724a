# `make` without target lists the targets. `make demo` and `make test` work on a fresh machine without other steps.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
DOCS_VENV := .venv-docs
RELEASE_VENV := .venv-release
BENCH_VENV := .venv-bench
REPORTS := build/tests
ROUTING_TESTS := $(addprefix tests/e2e/test_,http.py tcp.py clients.py encrypted.py)
GENERATORS := tools.generate testbed.chart tools.permissions bench.page
export PYTHONPATH := .
# Compiled modules are kept: otherwise hundreds of processes of checks and tests would compile everything each time.
unexport PYTHONDONTWRITEBYTECODE

# Built before pytest starts, so that builds do not count as test time. An existing cluster does not need them.
NODE_ASSETS := $(if $(E2E_KUBECONFIG)$(E2E_CLUSTER),,$(if $(filter 0,$(shell id -u)),node-assets))

# Runs a step, prints its duration also after a failure, and keeps its exit status.
# $(call step,<name>,<command>)
define step
@echo "== $(1)"; start=$$(date +%s); status=0; { $(2); } || status=$$?; \
took="$$(( $$(date +%s) - start )) s"; \
if [ $$status = 0 ]; then echo "== $(1): done in $$took"; else echo "== $(1): FAILED after $$took"; fi; exit $$status
endef

.PHONY: help demo docs test check unit thorough integration integration-sample packaging e2e e2e-routing e2e-verify e2e-sample test-packaging test-dns test-images test-policies
.PHONY: attacks attacks-sample faults faults-sample generated mutants simulate simulate-sample sabotages soak soak-sample test-dns-full test-issuers test-leader test-times test-ui test-dns-interleavings test-release test-upgrades test-zones test-fresh-machine prerequisites venv images assets node-assets up bench format generate skew-fixtures release lock clean
.PHONY: check-format check-lint check-types check-imports check-generated check-vocabulary

help: ## this page
	@echo "decco: make <target>"
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-24s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  KUBE_VERSION=1.34      Kubernetes of the testbed (default 1.37)"
	@echo "  KUBECONFIG=<file>      on the command line of make demo: use that cluster"
	@echo "  NODE=1                 make demo with running pods, an edge, and requests through it (Linux and root)"
	@echo "  ONCE=1                 make demo ends without Ctrl-C, with status 0 only if all checks passed"
	@echo "  ARGS='-k watch -x'     further arguments for pytest (unit, integration)"
	@echo "  DECCO_CACHE=<folder>   cache of programs (default ~/.cache/decco)"
	@echo "  ALLOW_MISSING=1        continue without missing system packages; tests that need them are skipped"
	@echo "  PYTHON=<program>       Python 3.11 or later for the virtual environment"

demo: $(VENV)/.complete assets ## the controller and the examples on a real control plane, until Ctrl-C
	@NODE='$(NODE)' env -u KUBECONFIG $(if $(filter command line,$(origin KUBECONFIG)),KUBECONFIG='$(KUBECONFIG)') $(BIN)/python -m testbed.demo

test: $(VENV)/.complete assets ## everything that CI runs: check, unit, thorough, samples of integration, attacks, faults, simulation and soak, DNS, packaging, images, a sample of e2e
	@rm -rf $(REPORTS); status=0; \
	for part in check unit thorough integration-sample attacks-sample faults-sample simulate-sample soak-sample test-dns packaging test-images e2e-sample; do $(MAKE) $$part || status=1; done; \
	$(BIN)/python tests/summary.py $(REPORTS)/*.xml || status=1; exit $$status

check: $(VENV)/.complete ## static checks: format, lint, types, imports, generated files
	@$(MAKE) --keep-going check-format check-lint check-types check-imports check-vocabulary check-generated

check-format: $(VENV)/.complete
	$(call step,check: format,$(BIN)/ruff format --check --quiet . || { echo "run: make format"; false; })

check-lint: $(VENV)/.complete
	$(call step,check: lint,$(BIN)/ruff check --quiet .)

check-types: $(VENV)/.complete
	$(call step,check: types,$(BIN)/mypy)

check-imports: $(VENV)/.complete
	$(call step,check: imports,$(BIN)/lint-imports)

check-vocabulary: $(VENV)/.complete
	$(call step,check: vocabulary,$(BIN)/python -m tools.vocabulary)

check-generated: $(VENV)/.complete
	$(call step,check: generated files,failed=; for each in $(GENERATORS); do $(BIN)/python -m $$each --check || failed=1; done; test -z "$$failed")

unit: $(VENV)/.complete ## tests without network, in seconds
	$(call step,unit,$(BIN)/python -m pytest tests/unit -n 2 -m 'not thorough' --junitxml=$(REPORTS)/unit.xml $(ARGS))

thorough: $(VENV)/.complete ## the other tests of tests/unit, of seconds each: started programs, many random histories
	$(call step,thorough,$(BIN)/python -m pytest tests/unit -n 2 -m thorough --junitxml=$(REPORTS)/thorough.xml $(ARGS))

INTEGRATION := $(BIN)/python -m pytest tests/integration tests/policies -n 3 --dist loadfile --no-loadscope-reorder --junitxml=$(REPORTS)/integration.xml

integration: $(VENV)/.complete assets ## tests against a real API server (half an hour)
	-@$(BIN)/python -m testbed.netpol >/dev/null
	$(call step,integration,$(INTEGRATION) $(ARGS))

integration-sample: $(VENV)/.complete assets ## the part of integration that make test runs
	-@$(BIN)/python -m testbed.netpol >/dev/null
	$(call step,integration: sample,$(INTEGRATION) -m "not full" $(ARGS))

attacks: $(VENV)/.complete assets ## every attack under its role's identity, every policy without each of its parts, a million states of claims, a recorded life (half an hour)
	$(call step,attacks,$(BIN)/python -m pytest tests/attacks --junitxml=$(REPORTS)/attacks.xml $(ARGS))

attacks-sample: $(VENV)/.complete assets ## the part of attacks that make test runs
	$(call step,attacks: sample,$(BIN)/python -m pytest tests/attacks -m "not full" --junitxml=$(REPORTS)/attacks.xml $(ARGS))

images: prerequisites ## the images of both Dockerfiles, by Docker or else by buildah (root); built once, prints their archives
	$(call step,images,python=$$(bash requirements/python.sh) && "$$python" -m testbed.images.built)

# The image is built before pytest starts: a test has a time limit. What is missing for it, the tests report.
test-images: $(VENV)/.complete ## the sidecar's image as make images builds it: real stunnel, real TLS clients
	-@$(BIN)/python -m testbed.images.built stunnel >/dev/null
	$(call step,test-images,$(BIN)/python -m pytest tests/images -n 3 --junitxml=$(REPORTS)/images.xml $(ARGS))

test-zones: $(VENV)/.complete assets ## pods over availability zones: real scheduler, nodes by kwok, a zone lost and back, drains (builds kwok once)
	@$(BIN)/python -m testbed.kwok
	$(call step,zones,$(BIN)/python -m pytest tests/zones --junitxml=$(REPORTS)/zones.xml $(ARGS))

test-policies: $(VENV)/.complete assets ## NetworkPolicies: allowed connections, evaluated and enforced by third-party programs
	@$(BIN)/python -m testbed.netpol >/dev/null
	$(call step,policies,$(BIN)/python -m pytest tests/policies --junitxml=$(REPORTS)/policies.xml $(ARGS))

packaging: $(VENV)/.complete $(DOCS_VENV)/.complete assets ## manifests, chart, alerts with the real Helm, kubectl, promtool and API server
	$(call step,packaging,$(BIN)/python -m pytest tests/packaging -m 'not long' --junitxml=$(REPORTS)/packaging.xml $(ARGS))

test-packaging: $(VENV)/.complete $(DOCS_VENV)/.complete assets ## packaging, and the controller's image as make images builds it, each image twice (minutes, root)
	$(call step,test-packaging,$(BIN)/python -m pytest tests/packaging --junitxml=$(REPORTS)/packaging.xml $(ARGS))

test-release: $(VENV)/.complete $(RELEASE_VENV)/.complete assets ## make release twice on this commit, the same digests; its parts against a registry and OLM's own rules (root, minutes)
	$(call step,test-release,$(BIN)/python -m pytest tests/release --junitxml=$(REPORTS)/release.xml $(ARGS))

test-upgrades: $(VENV)/.complete assets ## the commands of the guides, new CRDs over old ones
	$(call step,test-upgrades,$(BIN)/python -m pytest tests/upgrades --junitxml=$(REPORTS)/upgrades.xml $(ARGS))

# The tests mostly wait for servers, so there are more processes than cores.
test-dns: $(VENV)/.complete assets ## every DNS provider against real servers; prints the matrix and the missing servers
	-@$(BIN)/python -m testbed.dns.coredns >/dev/null
	$(call step,dns,$(BIN)/python -m pytest tests/dns -n 4 -m "not full" --dns-matrix=$(REPORTS)/dns-matrix.md --junitxml=$(REPORTS)/dns.xml $(ARGS))

test-dns-full: $(VENV)/.complete assets ## the same with each fault in each step of a name's life cycle
	-@$(BIN)/python -m testbed.dns.coredns >/dev/null
	$(call step,dns,$(BIN)/python -m pytest tests/dns -n 4 --dns-matrix=$(REPORTS)/dns-matrix.md --junitxml=$(REPORTS)/dns.xml $(ARGS))

test-leader: $(VENV)/.complete assets ## failover in full: 100 pauses of the leader, 10,000 objects; 25 minutes, idle machine
	$(call step,leader,TIMED=1 LEADER_TRIALS=100 LEADER_LISTED=10000 LEADER_RECONCILED=1000 $(BIN)/python -m pytest \
	tests/integration/test_leader.py tests/integration/test_failover.py tests/integration/test_vitals.py -s \
	--junitxml=$(REPORTS)/leader.xml $(ARGS))

test-ui: $(VENV)/.complete assets ## decco ui, as operator and as tenant, and the site of make docs in a real browser (Debian's chromium), with screenshots in build/ui
	$(call step,ui,$(BIN)/python -m pytest tests/ui --junitxml=$(REPORTS)/ui.xml $(ARGS))

test-times: $(VENV)/.complete assets $(NODE_ASSETS) ## the promised durations; idle machine, some ten minutes
	$(call step,times,TIMED=1 $(BIN)/python -m pytest tests/integration tests/e2e tests/verify -m timed -s --junitxml=$(REPORTS)/times.xml $(ARGS))

test-fresh-machine: $(VENV)/.complete ## a bare Debian with only the packages of README: make test-images, unit tests and the demo, as root and as user; ARGS=--whole: make test too (root)
	$(call step,fresh machine,$(BIN)/python -m testbed.fresh_machine $(ARGS))

faults: $(VENV)/.complete assets ## PLAN=<id> SCENARIO= KIND= SEED=: every fault at every request and event of each scenario, on a real API server (an hour); PLAN replays one
	$(call step,faults,$(BIN)/python -m tests.faults $(if $(PLAN),--plan '$(PLAN)') $(if $(SCENARIO),--scenario $(SCENARIO)) $(if $(KIND),--kind $(KIND)) $(if $(SEED),--seed $(SEED)) $(ARGS))

faults-sample: $(VENV)/.complete assets ## the part of faults that make test runs, with a fixed seed, about a minute
	$(call step,faults: sample,$(BIN)/python -m pytest tests/faults --junitxml=$(REPORTS)/faults.xml $(ARGS))

generated: $(VENV)/.complete assets ## specs with every edge of every field: API server and models agree, and decco keeps what ran (half an hour; make integration runs a sample)
	$(call step,generated specs,GENERATED=1 $(BIN)/python -m pytest tests/integration/test_generated_specs.py -s --junitxml=$(REPORTS)/generated.xml $(ARGS))

mutants: $(VENV)/.complete ## N=160 SEED=1 SCHEDULES=20 FILE=kube/watch.py: share of a program's small changes of the source that the tests notice (an hour)
	$(call step,mutants,$(BIN)/python -m tests.mutants -n $(or $(N),160) --seed $(or $(SEED),1) --schedules $(or $(SCHEDULES),20) $(if $(FILE),--file $(FILE)) $(ARGS))

simulate: $(VENV)/.complete ## N=2000 SEED= TRACE=1 SHRINK=1: the whole controller on virtual time with faults, N schedules; SEED replays one
	$(call step,simulate,$(BIN)/python -m tests.simulation --jobs $(if $(SEED),1,2) --seed $(or $(SEED),1) -n $(or $(N),$(if $(SEED),1,2000)) $(if $(TRACE),--trace) $(if $(SHRINK),--shrink) $(ARGS))

simulate-sample: $(VENV)/.complete ## the part of simulate that make test runs
	$(call step,simulate: sample,$(BIN)/python -m pytest tests/simulation --junitxml=$(REPORTS)/simulation.xml $(ARGS))

sabotages: $(VENV)/.complete ## N=100: after how many schedules the simulation finds each of a list of sabotages of the source (ARGS=--write: the table in docs/design)
	$(call step,sabotages,$(BIN)/python -W ignore -m tests.simulation.table -n $(or $(N),100) $(ARGS))

soak: $(VENV)/.complete assets ## RECONCILES=200000 SEED=: a day of churn in a quarter of an hour, without leftovers
	$(call step,soak,$(BIN)/python -m tests.soak --reconciles $(or $(RECONCILES),200000) $(if $(SEED),--seed $(SEED)) $(ARGS))

soak-sample: $(VENV)/.complete assets ## the part of soak that make test runs, about a minute
	$(call step,soak: sample,$(BIN)/python -m pytest tests/soak --junitxml=$(REPORTS)/soak.xml $(ARGS))

test-dns-interleavings: $(VENV)/.complete ## N=10000 SEED= KIND=bind: random interleavings of several writers on one zone
	$(call step,dns interleavings,$(BIN)/python -m tests.dns.interleavings -n $(or $(N),10000) $(if $(SEED),--seed $(SEED)) --kind $(or $(KIND),bind))

# The start of the cluster counts as time of the first test.
E2E_PYTEST := $(BIN)/python -m pytest -o timeout=600

e2e: $(VENV)/.complete assets $(NODE_ASSETS) ## real pods, edge, clients, all cases (root; E2E_CLUSTER=kind; E2E_KUBECONFIG=<file>; E2E_DECCO=process)
	$(call step,e2e,E2E=full E2E_DECCO=$(or $(E2E_DECCO),pod) $(E2E_PYTEST) tests/e2e -s --junitxml=$(REPORTS)/e2e.xml $(ARGS))
	@$(if $(E2E_KUBECONFIG)$(E2E_CLUSTER),,$(MAKE) e2e-routing e2e-verify)

e2e-routing: $(VENV)/.complete assets $(NODE_ASSETS) ## the same through Traefik, and with a Gateway for each Space (builds Traefik once)
	$(call step,e2e: ingress,E2E=full E2E_DECCO=$(or $(E2E_DECCO),pod) E2E_BACKEND=ingress $(E2E_PYTEST) $(ROUTING_TESTS) -s --junitxml=$(REPORTS)/e2e-ingress.xml $(ARGS))
	$(call step,e2e: gateways,E2E=full E2E_DECCO=$(or $(E2E_DECCO),pod) E2E_BACKEND=gateways $(E2E_PYTEST) tests/e2e/test_own_gateway.py tests/e2e/test_limits.py -s --junitxml=$(REPORTS)/e2e-gateways.xml $(ARGS))

test-issuers: $(VENV)/.complete assets $(NODE_ASSETS) ## certificates by cert-manager's own controllers from Pebble: DNS-01, HTTP-01 through the edge (root; builds cert-manager once)
	@$(BIN)/python -m testbed.certmanager >/dev/null
	$(call step,issuers: DNS-01,$(BIN)/python -m pytest tests/issuers -o timeout=900 --junitxml=$(REPORTS)/issuers.xml $(ARGS))
	$(call step,issuers: HTTP-01,E2E_ISSUERS=1 $(E2E_PYTEST) tests/e2e/test_http01.py -s --junitxml=$(REPORTS)/issuers-http01.xml $(ARGS))

e2e-verify: $(VENV)/.complete assets $(NODE_ASSETS) ## decco verify with Envoy Gateway, with each sabotage, and with Traefik
	@$(BIN)/python -m testbed.certmanager >/dev/null
	$(call step,e2e: verify,$(E2E_PYTEST) tests/verify -s --junitxml=$(REPORTS)/e2e-verify.xml $(ARGS))
	$(call step,e2e: verify by ingress,E2E_BACKEND=ingress $(E2E_PYTEST) tests/verify/test_verify.py -s --junitxml=$(REPORTS)/e2e-verify-ingress.xml $(ARGS))

e2e-sample: $(VENV)/.complete assets $(NODE_ASSETS) ## the part of e2e that make test runs; skipped with one message where it cannot run
	$(call step,e2e: sample,$(E2E_PYTEST) tests/e2e -m "not full" --junitxml=$(REPORTS)/e2e.xml $(ARGS))

# The first step of every target: reports missing packages within a second or two, before anything is built.
prerequisites: ## packages of the targets on this command line: installs them (root on Debian or Ubuntu), or prints the command
	@python=$$(bash requirements/python.sh) && "$$python" -m testbed.prerequisites $(MAKECMDGOALS)

venv: $(VENV)/.complete ## .venv with everything locked in requirements/

assets: $(VENV)/.complete ## programs of the control plane: found, downloaded or built, and cached
	$(call step,assets,$(BIN)/python -m testbed assets >/dev/null)

node-assets: $(VENV)/.complete ## programs and images of the node and its edge: built and cached
	$(call step,node assets,$(BIN)/python -m testbed assets --node $(if $(filter e2e e2e-routing e2e-verify,$(MAKECMDGOALS)),--full) >/dev/null)

docs: $(DOCS_VENV)/.complete ## the documentation as a site in build/site, which a browser opens as a file; fails on a dead link
	$(call step,docs,NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --strict)
	@echo "file://$(CURDIR)/build/site/index.html"

up: $(VENV)/.complete assets ## a control plane for manual tests, until Ctrl-C
	@$(BIN)/python -m testbed up

bench: $(VENV)/.complete $(BENCH_VENV)/.complete assets ## all benchmarks without pods, in order (hours at full size), or one: make bench NAME=cold
	@$(BIN)/python -m bench$(if $(NAME),.$(NAME)) $(ARGS)

format: $(VENV)/.complete ## format, and apply automatic fixes
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix .

generate: $(VENV)/.complete ## write CRDs, reference pages and the chart's copies from models and parsers
	@for each in $(GENERATORS); do $(BIN)/python -m $$each || exit 1; done

skew-fixtures: $(VENV)/.complete assets ## once for each release: record the objects that this version writes to a cluster
	$(call step,skew-fixtures,$(BIN)/python -m tests.skew.record)

release: $(VENV)/.complete $(RELEASE_VENV)/.complete assets ## everything of a release in dist/: wheel, manifests, chart, images, SBOMs, bundle, checksums (root, buildah; minutes)
	$(call step,release,$(BIN)/python -m tools.release $(ARGS))

lock: ## update requirements/*.txt from pyproject.toml (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/"; exit 2; }
	$(call step,lock,bash requirements/lock.sh)

clean: ## remove everything that is generated here; the cache of programs stays
	@rm -rf $(VENV) $(DOCS_VENV) $(RELEASE_VENV) $(BENCH_VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.complete: requirements/dev.txt requirements/venv.sh requirements/python.sh pyproject.toml | prerequisites
	$(call step,virtual environment,bash requirements/venv.sh $(VENV))
	@touch $@

$(DOCS_VENV)/.complete: requirements/docs.txt requirements/venv.sh requirements/python.sh | prerequisites
	$(call step,virtual environment of the documentation,bash requirements/venv.sh $(DOCS_VENV) requirements/docs.txt)
	@touch $@

$(RELEASE_VENV)/.complete: requirements/release.txt requirements/venv.sh requirements/python.sh | prerequisites
	$(call step,virtual environment of releases,bash requirements/venv.sh $(RELEASE_VENV) requirements/release.txt)
	@touch $@

$(BENCH_VENV)/.complete: requirements/bench.txt requirements/venv.sh requirements/python.sh | prerequisites
	$(call step,virtual environment of the benchmarks,bash requirements/venv.sh $(BENCH_VENV) requirements/bench.txt)
	@touch $@
