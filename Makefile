# Every target does its own set-up and is fast when there is nothing to do. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON_VERSION := $(shell cat .python-version)
BIN := .venv/bin
UV := .tools/bin/uv
REGION ?=
REGIONS ?=
PORT ?=
NODES ?=
TLS ?=
ENV ?=
PREFLIGHT ?=
CONFIRM ?=
BENCH_DATA ?=
ROUNDS ?=
KILLS ?=
REQUESTS ?=
SEED ?=

# A user's Python, Node or installer settings must not change what happens here. (Where packages come from may differ.)
unexport PYTHONPATH PYTHONHOME PYTHONSAFEPATH PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX PYTHONOPTIMIZE VIRTUAL_ENV NODE_ENV NODE_OPTIONS NODE_PATH
unexport PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT PIP_DRY_RUN PIP_PYTHON PIP_REQUIREMENT PIP_CONSTRAINT
unexport UV_PYTHON UV_SYSTEM_PYTHON UV_BREAK_SYSTEM_PACKAGES UV_MANAGED_PYTHON UV_NO_MANAGED_PYTHON UV_PYTHON_PREFERENCE
unexport UV_PROJECT UV_PROJECT_ENVIRONMENT UV_WORKING_DIRECTORY UV_CONSTRAINT UV_OVERRIDE UV_EXCLUDE_NEWER UV_RESOLUTION
# Nor may an AWS profile, except where the AWS account is meant.
ifeq ($(filter deploy destroy remove-region cleanup-failed images docs-publish,$(MAKECMDGOALS)),)
unexport AWS_PROFILE AWS_DEFAULT_PROFILE
endif
export PATH := $(CURDIR)/$(BIN):$(PATH)
export CDK_DISABLE_CLI_TELEMETRY := true
export UV_NO_CONFIG := 1
# Node keeps what it has compiled of the CDK.
export NODE_COMPILE_CACHE := $(CURDIR)/build/node
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Those that take longest begin, so that the other processor has enough to do meanwhile.
LONGEST_LOCAL_TESTS := tests/local/deployment/ tests/local/registry/
WHOLE_RUNS := tests/local/end_to_end/ tests/local/internet/
LOCAL_TESTS := $(LONGEST_LOCAL_TESTS) $(filter-out $(LONGEST_LOCAL_TESTS) $(WHOLE_RUNS) %/__pycache__/,$(wildcard tests/local/*/))
LOCKED := $(wildcard lambda_src/*/requirements.in services/*/requirements.in)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-20s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  Variables: ENV=prod|dev  REGION=us-west-1 (deploy, cleanup-failed, remove-region)  CONFIRM=prod (deploy, destroy, remove-region)  REGIONS=all (run)  PORT=8420 (run)  NODES=3 (run)  TLS=1 (run)  BENCH_DATA=folder (bench)"
	@echo "             SEED=number  ROUNDS=10000  MOVES=1000  KILLS=200 (fault)  REQUESTS=100000 (fuzz)  OSV=folder (audit)"

.PHONY: run
run: $(BIN)/.ready node_modules/.ready bundle ## Serve the whole system on this machine (ENV=dev, REGIONS=all, PORT=…, NODES=3, TLS=1); Ctrl-C stops it
	@exec $(BIN)/anfl up $(if $(ENV),--env $(ENV)) $(if $(REGIONS),--regions $(REGIONS)) $(if $(PORT),--port $(PORT)) $(if $(NODES),--nodes $(NODES)) $(if $(TLS),--tls)

# The whole runs wait for much of their time, so the embedded AWS, templates and clients are tested meanwhile. What takes
# longest begins.
.PHONY: test
test: $(BIN)/.ready ## Everything CI checks: lint, types, unit, templates, one end-to-end run, MLflow's and Vault's clients
	@$(MAKE) --no-print-directory --jobs 2 lint test-ready
	@$(MAKE) --no-print-directory test-unit
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=target \
	  test-embedded test-end-to-end test-infrastructure test-internet test-mlflow test-hvac

# Types take one processor for minutes where nothing is cached; meanwhile the other brings what later tests need.
.PHONY: test-ready
test-ready: node_modules/.ready .venv-mlflow/.ready build/hvac/.ready bundle

.PHONY: test-unit
test-unit: $(BIN)/.ready ## Unit tests
	@$(BIN)/pytest -q -n 3 --dist loadfile tests/unit

.PHONY: test-infrastructure
test-infrastructure: $(BIN)/.ready node_modules/.ready ## Assertions and snapshots on the synthesized templates
	@$(BIN)/pytest -q tests/infrastructure

.PHONY: test-local
test-local: $(BIN)/.ready .venv-mlflow/.ready node_modules/.ready bundle ## The embedded AWS, and what `make run` starts, driven over HTTP
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=target test-end-to-end test-internet test-embedded

.PHONY: test-embedded
test-embedded:
	@$(BIN)/pytest -q -n auto --maxprocesses 2 --dist loadfile $(LOCAL_TESTS)

.PHONY: test-end-to-end
test-end-to-end:
	@$(BIN)/pytest -q tests/local/end_to_end

# A run whose webhooks reach a receiver at a public address, in a network of its own.
.PHONY: test-internet
test-internet:
	@$(BIN)/pytest -q tests/local/internet

.PHONY: test-mlflow
test-mlflow: $(BIN)/.ready .venv-mlflow/.ready ## MLflow's real client against the model registry
	@PYTHONPATH=. .venv-mlflow/bin/python -m pytest -q -c tests/mlflow_client/pytest.ini tests/mlflow_client

.PHONY: test-hvac
test-hvac: $(BIN)/.ready build/hvac/.ready ## The development Vault against the integration tests of Vault's client
	@cd build/hvac && PATH="$(CURDIR)/local/vault/bin:$$PATH" PYTHONPATH="$(CURDIR)/tests/hvac_client" \
	  "$(CURDIR)/.venv-hvac/bin/python" -m pytest -q -c "$(CURDIR)/tests/hvac_client/pytest.ini" --rootdir . tests/integration_tests

.PHONY: lint
lint: $(BIN)/.ready ## Formatting, lint and types
	@$(BIN)/ruff format --check --quiet . || { echo "Run 'make format'."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary .

.PHONY: format
format: $(BIN)/.ready ## Format the code and mend what lint can mend
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format --quiet .

.PHONY: bundle
bundle: $(BIN)/.ready ## Build the functions' bundles (without Docker; cached by content)
	@$(BIN)/python -m bundling
	@touch build/.bundled

.PHONY: images
images: $(BIN)/.ready ## Build the services' container images, and with REGISTRY=… push them and Vault's package (wants a Docker daemon)
	@$(BIN)/python -m bundling.push

.PHONY: synth
synth: $(BIN)/.ready node_modules/.ready build/.bundled ## Synthesize the templates into cdk.out (ENV=prod)
	@node_modules/.bin/cdk synth --quiet --no-notices --no-validation -c env=$(or $(ENV),prod)

.PHONY: deploy
deploy: which-env $(BIN)/.ready node_modules/.ready bundle ## Check, estimate, ask, deploy to your AWS account: ENV=prod|dev, optionally REGION=us-west-1
	@$(MAKE) --no-print-directory synth ENV=$(ENV)
	@$(BIN)/python -m deployment --env $(ENV) $(if $(REGION),--region $(REGION)) \
	  $(if $(PREFLIGHT),--preflight $(PREFLIGHT)) $(if $(CONFIRM),--confirm $(CONFIRM))

.PHONY: destroy
destroy: which-env $(BIN)/.ready node_modules/.ready bundle ## Destroy an environment: ENV=prod|dev; data that it keeps stays behind, and is listed
	@[ -z "$(REGION)" ] || { echo "'make destroy' takes the whole environment; one region: make remove-region ENV=$(ENV) REGION=$(REGION)." >&2; exit 2; }
	@$(BIN)/anfl destroy --env $(ENV) $(if $(CONFIRM),--confirm $(CONFIRM))

.PHONY: remove-region
remove-region: which-env $(BIN)/.ready node_modules/.ready bundle ## Take a region away while the others go on serving: ENV=prod REGION=us-west-1
	@[ -n "$(REGION)" ] || { echo "Say which region: make remove-region ENV=$(ENV) REGION=us-west-1." >&2; exit 2; }
	@$(BIN)/anfl regions remove $(REGION) --env $(ENV) $(if $(CONFIRM),--confirm $(CONFIRM))

.PHONY: cleanup-failed
cleanup-failed: which-env $(BIN)/.ready ## Remove what a failed first deployment left behind: ENV=prod|dev, optionally REGION=us-west-1
	@$(BIN)/anfl cleanup --failed --env $(ENV) $(if $(REGION),--region $(REGION))

.PHONY: deploy-check
deploy-check: $(BIN)/.ready node_modules/.ready bundle ## Deploy all of prod to the embedded AWS, take a region away, destroy it; prints what was only a placeholder
	@$(if $(UPDATE),UPDATE_PLACEHOLDERS=1) $(BIN)/pytest -q tests/local/deployment

.PHONY: conformance
conformance: $(BIN)/.ready node_modules/.ready ## Print which resources realise each figure of architecture.yaml
	@$(MAKE) --no-print-directory synth ENV=$(or $(ENV),prod)
	@$(BIN)/python -m stacks.conformance cdk.out

.PHONY: docs
docs: $(BIN)/.ready node_modules/.ready ## Refresh what docs/ shows of the templates and of tables in code: conformance, drawings, roles and routes, engines
	@$(MAKE) --no-print-directory synth ENV=prod
	@$(BIN)/python -m stacks.conformance cdk.out --markdown > build/conformance.md
	@mv build/conformance.md docs/conformance.md
	@$(BIN)/python -m stacks.diagrams cdk.out docs/aws_architecture.md
	@$(BIN)/python -m documentation.access
	@$(BIN)/python -m documentation.engines

.PHONY: docs-site
docs-site: $(BIN)/.ready ## Build the documentation's site into build/site
	@$(BIN)/python -m documentation build build/site

.PHONY: docs-publish
docs-publish: which-env $(BIN)/.ready ## Bring the site to CloudFront (ENV=prod): what changed, and an invalidation
	@$(BIN)/python -m documentation publish --env $(ENV)

.PHONY: bench
bench: $(BIN)/.ready .venv-mlflow-server/.ready bundle ## Measure: import times of the functions, the vector store beside raw hnswlib, the registry beside MLflow's server (BENCH_DATA=folder)
	@BENCH_DATA="$(BENCH_DATA)" $(BIN)/python -m tests.benchmarks

.PHONY: fault
fault: $(BIN)/.ready ## Break things at random and compare with a model (ROUNDS=10000, MOVES=1000, KILLS=200, SEED=…): minutes
	@$(BIN)/python -m tests.fault --rounds $(or $(ROUNDS),10000) --moves $(or $(MOVES),1000) --kills $(or $(KILLS),200) $(if $(SEED),--seed $(SEED))

.PHONY: fuzz
fuzz: $(BIN)/.ready node_modules/.ready bundle ## Send strange requests to a run of its own: no error of a server, no way round the access table (REQUESTS=100000, SEED=…)
	@$(BIN)/python -m tests.fuzz --requests $(or $(REQUESTS),100000) $(if $(SEED),--seed $(SEED))

.PHONY: bench-synth
bench-synth: $(BIN)/.ready node_modules/.ready bundle ## Measure make synth beside an empty CDK app, in pairs
	@$(BIN)/python -m tests.benchmarks.synthesis

.PHONY: update-snapshots
update-snapshots: $(BIN)/.ready node_modules/.ready ## Accept the present templates as the snapshots, and show the difference
	@status=0; $(BIN)/pytest -q --update-snapshots $$(grep -rl --include='test_*.py' -e --update-snapshots tests/infrastructure) || status=$$?; \
	  git --no-pager -c diff.template.xfuncname='^  ([A-Za-z].*):$$' diff --stat -p -U1 -- tests/infrastructure/snapshots docs; \
	  git status --short -- tests/infrastructure/snapshots docs; exit $$status

.PHONY: openapi
openapi: $(BIN)/.ready ## Write docs/openapi.json, auth_openapi.json and validation_report.schema.json after a change to operations or types
	@$(BIN)/python -m services.vector_store.openapi
	@$(BIN)/python -m anfl.auth.openapi > docs/auth_openapi.json
	@$(BIN)/python -m anfl.inspection.schema > docs/validation_report.schema.json

.PHONY: lock
lock: $(UV) ## Compile the requirement files after a change to a .in file
	@./bundling/lock.sh $(UV)

.PHONY: sbom
sbom: $(BIN)/.ready ## Write build/sbom: CycloneDX lists of components of every function, every service and the CDK app
	@$(BIN)/python -m bundling.supply sbom

.PHONY: audit
audit: $(BIN)/.ready ## Check licences and known vulnerabilities of every locked package (OSV=folder with OSV's archives, for no network)
	@$(BIN)/python -m bundling.supply audit $(if $(OSV),--advisories $(OSV))

.PHONY: clean
clean: ## Remove everything that make built (a running `make run` is stopped first)
	@[ ! -x $(BIN)/anfl ] || $(BIN)/anfl down >/dev/null 2>&1 || true
	@rm -rf .venv .venv-hvac .venv-mlflow .venv-mlflow-server .tools node_modules build cdk.out .anfl anfl/vectors/engine/libnative.so .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

.PHONY: which-env
which-env:
	@case "$(ENV)" in prod|dev) ;; *) echo "Say which environment: make $(firstword $(MAKECMDGOALS)) ENV=prod (or ENV=dev), optionally REGION=us-west-1." >&2; exit 2;; esac

# --- set-up ---------------------------------------------------------------------------------------------------------

$(UV): bundling/uv.txt
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "ANFL needs Python 3.11 or newer as python3; this is $$(python3 --version)." >&2; exit 1; }
	@echo "Setting up uv …"
	@python3 -m venv .tools
	@.tools/bin/pip install --quiet --require-hashes --only-binary :all: --requirement bundling/uv.txt
	@touch $@

$(BIN)/.ready: $(UV) requirements-dev.txt pyproject.toml .python-version anfl/vectors/engine/native.cpp bundling/extension.py
	@echo "Setting up Python $(PYTHON_VERSION) and the packages (a minute the first time) …"
	@[ -x $(BIN)/python ] || $(UV) venv --quiet --python $(PYTHON_VERSION) .venv \
	  || { echo "Python $(PYTHON_VERSION) is not on this machine and could not be downloaded: install it, then try again." >&2; exit 1; }
	@env $$($(BIN)/python -m bundling.host) \
	  $(UV) pip sync --quiet --python $(BIN)/python --require-hashes --build-constraints requirements-dev.txt requirements-dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m bundling.native
	@touch $@

.venv-mlflow/.ready: $(UV) tests/mlflow_client/requirements.txt .python-version
	@echo "Setting up MLflow's client …"
	@[ -x .venv-mlflow/bin/python ] || $(UV) venv --quiet --python $(PYTHON_VERSION) .venv-mlflow
	@$(UV) pip sync --quiet --python .venv-mlflow/bin/python --require-hashes tests/mlflow_client/requirements.txt
	@touch $@

.venv-hvac/.ready: $(UV) tests/hvac_client/requirements.txt .python-version
	@echo "Setting up what hvac's tests need …"
	@[ -x .venv-hvac/bin/python ] || $(UV) venv --quiet --python $(PYTHON_VERSION) .venv-hvac
	@$(UV) pip sync --quiet --python .venv-hvac/bin/python --require-hashes tests/hvac_client/requirements.txt
	@touch $@

# Its tests are in no wheel. Pip wants to know the metadata of a source, for which the environment has what builds it.
build/hvac/.ready: .venv-hvac/.ready tests/hvac_client/source.txt
	@rm -rf build/hvac && mkdir -p build/hvac
	@.venv-hvac/bin/pip download --quiet --no-deps --no-build-isolation --no-binary hvac --require-hashes \
	  --dest build/hvac --requirement tests/hvac_client/source.txt
	@tar --extract --strip-components 1 --directory build/hvac --file build/hvac/hvac-*.tar.gz
	@touch $@

node_modules/.ready: package.json package-lock.json $(BIN)/.ready
	@echo "Setting up the CDK CLI …"
	@npm ci --silent --no-audit --no-fund --include=dev --global=false --dry-run=false
	@touch $@

# Synthesis says so itself where a bundle is missing; looking at each of them takes a second that it need not wait for.
build/.bundled: $(BIN)/.ready $(shell find anfl bundling lambda_src -name '*.py' -o -name '*.cpp' -o -name 'requirements.txt')
	@$(MAKE) --no-print-directory bundle

.venv-mlflow-server/.ready: $(UV) tests/benchmarks/registry/requirements.txt .python-version
	@echo "Setting up MLflow's server …"
	@[ -x .venv-mlflow-server/bin/python ] || $(UV) venv --quiet --python $(PYTHON_VERSION) .venv-mlflow-server
	@$(UV) pip sync --quiet --python .venv-mlflow-server/bin/python --require-hashes tests/benchmarks/registry/requirements.txt
	@touch $@
