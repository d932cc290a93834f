# Needs Python 3.11 or newer, git, make and a package index. `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
OPERATE = $(BIN)/python -m infra.operations $(if $(STACK),--stack "$(STACK)")
# The machine's own Pythons come before those of `make pythons`.
PYTHONS = 3.13 3.14
export PATH := $(PATH):$(CURDIR)/.local/pythons/3.13/usr/bin:$(CURDIR)/.local/pythons/3.14/usr/bin

# Without byte code every command compiles what it imports: SAM alone for three seconds.
unexport PYTHONDONTWRITEBYTECODE

# If HOME is not writable, uv keeps its cache in the checkout.
ifeq ($(UV_CACHE_DIR)$(shell test -w "$${XDG_CACHE_HOME:-$$HOME}" && echo writable),)
export UV_CACHE_DIR := $(CURDIR)/.local/uv-cache
endif

# The variables that commands take. Make would silently ignore a mistyped one.
VARIABLES = ACCEPT AGAINST ARCHITECTURE AS_OF CONFIRM COUNTRIES DATA DATABASE_URL EMULATOR FIX FULL MINUTES MODULE OPEN PARAMETERS PLOTS \
	PREFIX PYTHON PYTHONS RAW RDS_CA ROWS RULES RUNTIME SEGMENT STACK UPGRADE
GIVEN = $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
UNKNOWN := $(filter-out $(VARIABLES) AWS_% UV_% MAKE% -%,$(GIVEN))
ifneq ($(UNKNOWN),)
$(error $(UNKNOWN): no command takes that. They take $(sort $(VARIABLES)), each as make help says)
endif

# Nor may a command ignore a variable that only others take: `make refresh COUNTRIES=China` would seem to publish China.
OF_COMMANDS = $(filter-out ARCHITECTURE DATABASE_URL EMULATOR FULL PYTHON PYTHONS RDS_CA RUNTIME STACK,$(VARIABLES))
HELP := $(foreach goal,$(MAKECMDGOALS),$(shell grep '^$(goal):.*## ' $(firstword $(MAKEFILE_LIST))))
STRAY := $(if $(strip $(HELP)),$(foreach name,$(filter $(OF_COMMANDS),$(GIVEN)),$(if $(findstring $(name)=,$(HELP)),,$(name))))
ifneq ($(strip $(STRAY)),)
$(error $(strip $(STRAY)): make $(MAKECMDGOALS) does not take that; make help says what it takes)
endif

# Nor may it take another value for no: `make verify FIX=yes` would repair nothing.
NOT_ONE := $(strip $(foreach name,$(filter FIX FULL OPEN RAW UPGRADE,$(GIVEN)),$(if $(filter-out 1,$($(name))),$(name))))
ifneq ($(NOT_ONE),)
$(error $(NOT_ONE): give it the value 1, or leave it out)
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo up up-localstack down clean preflight deploy migrate refresh backfill backlog verify report explore why slice what-if redrive logs teardown test pythons test-runtimes test-faults fuzz e2e-localstack test-containers e2e-containers mutants bench bench-memory bench-api bench-freshness bench-scale lint fix hooks lock

##@ Try it on this machine
help:  ## list the commands
	@awk -F ':.*## ' ' \
		/^##@ / { printf "%s%s\n", (groups++ ? "\n" : ""), substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { \
			line = sprintf("  make %-15s", $$1); words = split($$2, word, " "); \
			for (i = 1; i <= words; i++) { \
				if (length(line) + 1 + length(word[i]) > 80) { print line; line = sprintf("%22s", "") } \
				line = line " " word[i] \
			} \
			print line \
		}' $(MAKEFILE_LIST)

setup: .venv/.ready .local/tools/emulator/.ready .local/tools/sam/.ready .local/tools/lambda/.ready  ## install everything, from the hashed locks

# Shows each package that uv installs.
SHOW = $(PYTHON) infra/progress.py
FROM_LOCK = --verbose --require-hashes

.venv/.ready: requirements.lock infra/tools/uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, $(PYTHON) is " + sys.version.split()[0] + ": make PYTHON=python3.13 ...")'
	@$(PYTHON) -c 'import ensurepip' || (echo "$(PYTHON) comes without venv: install python3-venv, or make PYTHON=..." >&2; exit 1)
	@$(SHOW) "make .venv" $(PYTHON) -m venv --clear .venv
	@$(SHOW) "install uv" $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r infra/tools/uv.lock
	@$(SHOW) "install what the project needs" $(BIN)/uv pip sync $(FROM_LOCK) --python $(BIN)/python requirements.lock
	@# `chalice local` runs in chalice_app and needs functions.common too.
	@$(BIN)/python -c 'import pathlib, sysconfig; pathlib.Path(sysconfig.get_path("purelib"), "checkout.pth").write_text("$(CURDIR)\n")'
	@touch $@

TOOL_PYTHON = $(BIN)/python
# LocalStack runs on Python 3.11 and 3.12 only: .venv's if it is one of them, else any that is on this machine.
LOCALSTACK_PYTHON = "$$($(BIN)/python -c 'import sys; print(sys.executable if sys.version_info < (3, 13) else ">=3.11,<3.13")')"
.local/tools/localstack/.ready: TOOL_PYTHON = $(LOCALSTACK_PYTHON)

NO_LOCALSTACK = LocalStack runs on Python 3.11 and 3.12 only, and neither is on this machine

.local/tools/%/.ready: infra/tools/%.lock | .venv/.ready
	@$(BIN)/uv python find --quiet --no-python-downloads $(TOOL_PYTHON) >/dev/null 2>&1 || (echo "$(NO_LOCALSTACK): install one, or take the emulator of \`make up\`" >&2; exit 1)
	@$(BIN)/uv venv --quiet --clear --no-python-downloads --python $(TOOL_PYTHON) $(@D)
	@$(SHOW) "install the tool $*" $(BIN)/uv pip sync $(FROM_LOCK) --python $(@D)/bin/python infra/tools/$*.lock
	@touch $@

.local/pythons/%/.ready: infra/packaging/pythons.py | .venv/.ready
	@$(BIN)/uv python find --quiet --no-python-downloads $* >/dev/null 2>&1 || $(BIN)/python -m infra.packaging.pythons $* $(@D)
	@mkdir -p $(@D) && touch $@

# Lambda's runtime for another Python than .venv's, such as .local/tools/lambda-3.13/.ready.
.local/tools/lambda-%/.ready: infra/tools/lambda.lock | .venv/.ready
	@$(BIN)/uv venv --quiet --clear --no-python-downloads --python $* $(@D)
	@$(SHOW) "install Lambda's runtime of Python $*" $(BIN)/uv pip sync $(FROM_LOCK) --python $(@D)/bin/python infra/tools/lambda.lock
	@touch $@

# The emulator of AWS: ministack or localstack.
EMULATOR ?= ministack
RUN_LOCAL = $(BIN)/python -m infra.local
ifeq ($(EMULATOR),localstack)
demo up: .local/tools/localstack/.ready
endif

demo: setup  ## run the whole pipeline on this machine: DATA="file-or-folder ..." AS_OF=2018-08-05 COUNTRIES=Peru,China for your own, FULL=1 for all rows
	@$(RUN_LOCAL) demo --emulator "$(EMULATOR)" $(if $(DATA),--data "$$DATA") $(if $(AS_OF),--as-of "$(AS_OF)") $(if $(COUNTRIES),--countries "$$COUNTRIES") $(if $(filter 1,$(FULL)),--full)

explore: setup  ## show what the refresh function would make of parquet, without a stack: DATA="file-or-folder ..." AS_OF=2018-08-05 COUNTRIES=Peru,China
	@$(RUN_LOCAL) explore --data "$$DATA" $(if $(AS_OF),--as-of "$(AS_OF)") $(if $(COUNTRIES),--countries "$$COUNTRIES")

up: setup  ## start the same stack, empty, and leave it running: EMULATOR=localstack for the other emulator, COUNTRIES=Peru,China to publish others
	@$(RUN_LOCAL) up --emulator "$(EMULATOR)" $(if $(COUNTRIES),--countries "$$COUNTRIES")

up-localstack: setup  ## start it on LocalStack and PostgreSQL in containers, or without them where no container engine runs: COUNTRIES=Peru,China
	@$(BIN)/python -c 'import sys; from infra.local.containers import why_no_engine; sys.exit(bool(why_no_engine()))' || $(MAKE) --no-print-directory .local/tools/localstack/.ready
	@$(RUN_LOCAL) up --emulator containers $(if $(COUNTRIES),--countries "$$COUNTRIES")

down:  ## stop what `make up` or `make up-localstack` started
	@if [ -e .venv/.ready ]; then $(BIN)/python -m infra.local down; else echo "nothing is running"; fi

clean: down  ## stop it and remove everything that was made
	@# Without .venv git would find no hooks, and refuse every commit.
	@if [ -e $(BIN)/pre-commit ]; then $(BIN)/pre-commit uninstall 2>/dev/null || true; fi
	rm -rf .venv .local .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Operate a deployed stack: on AWS, or after `source .local/env` on this machine
preflight: setup  ## check whether account and region can take the stack, and change nothing: PARAMETERS="Countries=Peru,China" STACK=name
	@$(OPERATE) preflight "$$PARAMETERS"

deploy: setup  ## check, build, deploy and migrate, where the environment points to: PARAMETERS="Countries=Peru,China" STACK=name
	@$(OPERATE) deploy "$$PARAMETERS"
	@[ ! -e .local/state.json ] || $(RUN_LOCAL) env

migrate: setup  ## bring the schema of the deployed stack up to date
	@$(OPERATE) migrate

refresh: setup  ## refresh once: AS_OF=2018-08-05 names the day; ACCEPT=vouchers/a.parquet, a key or the beginning of keys, counts objects that were refused for their rejected rows
	@$(OPERATE) refresh $(if $(AS_OF),--as-of "$(AS_OF)") $(if $(ACCEPT),--accept "$$ACCEPT")

backfill: setup  ## count the keys under a prefix that are not counted yet: PREFIX=vouchers/2019/ AS_OF=2018-08-05
	@$(OPERATE) backfill "$$PREFIX" $(if $(AS_OF),--as-of "$(AS_OF)")

backlog: setup  ## count what is not counted yet on many functions at once: PREFIX=vouchers/2019/ AS_OF=2018-08-05
	@$(OPERATE) backlog $(if $(PREFIX),--prefix "$$PREFIX") $(if $(AS_OF),--as-of "$(AS_OF)")

verify: setup  ## recount the bucket and compare with what is counted and published: PREFIX=vouchers/2019/ FIX=1 repairs
	@$(OPERATE) verify $(if $(PREFIX),--prefix "$$PREFIX") $(if $(filter 1,$(FIX)),--fix)

report: setup  ## fetch the report and print its path: AS_OF=2018-08-05 for that day's, OPEN=1 to open it
	@$(OPERATE) report $(if $(AS_OF),--as-of "$(AS_OF)") $(if $(OPEN),--open)

why: setup  ## explain why the most used amounts of a family or a segment changed: SEGMENT="recency_segment 180+" COUNTRIES=Peru
	@$(OPERATE) why "$$SEGMENT" $(if $(COUNTRIES),--countries "$$COUNTRIES")

slice: setup  ## count the objects under a prefix from the ledger: PREFIX=vouchers/2020-05/ AGAINST=vouchers/2020-04/ compares
	@$(OPERATE) slice "$$PREFIX" $(if $(AGAINST),--against "$$AGAINST")

what-if: setup  ## show what other segments would give, and suggest where to cut: RULES=path/to/rules.sql AS_OF=2018-08-05 COUNTRIES=Peru,China
	@$(OPERATE) what-if "$$RULES" $(if $(AS_OF),--as-of "$(AS_OF)") $(if $(COUNTRIES),--countries "$$COUNTRIES")

redrive: setup  ## run again what waits in the failure queue
	@$(OPERATE) redrive

logs: setup  ## print a line for each run and request of both functions: MINUTES=60, RAW=1 for all lines
	@$(OPERATE) logs $(if $(MINUTES),--minutes "$(MINUTES)") $(if $(filter 1,$(RAW)),--raw)

teardown: setup  ## delete the deployed stack: CONFIRM=its-name
	@$(OPERATE) teardown --confirm "$(CONFIRM)"

##@ Develop
# On every processor, the longest first: the tests of the running stack.
ON_ALL = --numprocesses=auto --dist=loadgroup --no-loadscope-reorder --durations=15

test: setup .local/tools/writers/.ready  ## run every test
	$(BIN)/python -m pytest $(ON_ALL)

pythons: setup $(PYTHONS:%=.local/pythons/%/.ready)  ## fetch from Debian the Pythons of Lambda that this machine lacks

test-runtimes: pythons $(PYTHONS:%=.local/tools/lambda-%/.ready)  ## run the built packages on each of these Pythons
	for version in $(PYTHONS); do RUNTIME=python$$version $(BIN)/python -m pytest tests/functional/test_runtime.py tests/functional/test_package.py || exit; done

test-faults: setup .local/tools/writers/.ready  ## attack the pipeline with every fault, in many cases: 40 minutes
	FAULTS=full $(BIN)/python -m pytest $(ON_ALL) tests/faults

fuzz: setup  ## send the lookup API thousands of requests that its description allows, and forbids: minutes
	FUZZ=full $(BIN)/python -m pytest tests/functional/test_openapi.py -k not_described

e2e-localstack: setup  ## run the end-to-end tests on LocalStack
	@if $(BIN)/uv python find --quiet --no-python-downloads $(LOCALSTACK_PYTHON); then \
		$(MAKE) .local/tools/localstack/.ready && EMULATOR=localstack $(BIN)/python -m pytest $(ON_ALL) tests/e2e; \
	else echo "skipped: $(NO_LOCALSTACK)"; fi

IF_ENGINE = reason="$$($(BIN)/python -c 'from infra.local.containers import why_no_engine; print(why_no_engine())')"; \
	if [ -n "$$reason" ]; then echo "skipped: $$reason"; else

test-containers: setup  ## run the tests of the containers on a real engine
	@$(IF_ENGINE) CONTAINERS=1 $(BIN)/python -m pytest tests/containers; fi

e2e-containers: setup  ## run the end-to-end tests on LocalStack in containers
	@$(IF_ENGINE) EMULATOR=containers $(BIN)/python -m pytest $(ON_ALL) tests/e2e; fi

mutants: setup .local/tools/mutants/.ready  ## run the tests on every mutant of the rules, the ledger and the lookup: MODULE=functions/refresh/counting/cleaning.py for one
	@$(BIN)/python -m tests.mutants $(MODULE)

bench: setup .local/tools/bench/.ready  ## compare the refresh with polars, DuckDB and pandas, and measure its memory, growth and cold start: ROWS=1000000 PLOTS=folder
	@$(BIN)/python -m tests.benchmarks $(if $(ROWS),--rows "$(ROWS)") $(if $(PLOTS),--plots "$(PLOTS)")

bench-memory: setup .local/tools/bench/.ready  ## measure the memory of a refresh of up to 100 million rows
	@$(BIN)/python -m tests.benchmarks.memory large

bench-api: setup  ## compare the lookup API with Flask + SQLAlchemy and with bare Chalice
	@$(BIN)/python -m tests.benchmarks.api

bench-freshness: setup  ## measure the time from a drop to the API's answer, cold and warm, on each emulator that is installed
	@$(BIN)/python -m tests.benchmarks.freshness

bench-scale: setup .local/tools/bench/.ready  ## measure how many functions write to one database, and count a backlog, at once
	@$(BIN)/python -m tests.benchmarks.scale

# Old and new, large and small ones, on five continents.
REGIONS = us-east-1 eu-central-1 ap-southeast-1 sa-east-1 af-south-1

lint: setup .local/tools/checkov/.ready .local/tools/parliament/.ready  ## check without changing anything
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mdformat --check README.md CHANGELOG.md docs
	$(BIN)/codespell
	PYTHONPATH=.:chalice_app $(BIN)/lint-imports --no-cache
	PYTHONPATH=.:chalice_app $(BIN)/python -m infra.description --check
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory .local/tools/openapi/.ready && $(LINT_DESCRIPTION); \
	else echo "skipped: spectral and redocly, which check the API's description and need Node.js with npm"; fi
	@# W3002: nested templates are local files, which `sam deploy` uploads.
	$(BIN)/cfn-lint --regions $(REGIONS) --ignore-checks W3002 -- template.yaml infra/templates/*.yaml
	$(BIN)/python -m infra.checks.transform .local/transformed.json
	@# W1030: an empty parameter is no ARN; it is used on a condition only.
	$(BIN)/cfn-lint --regions $(REGIONS) --ignore-checks W1030 -- .local/transformed.json
	$(BIN)/python -m infra.checks.policies .local/policies
	.local/tools/checkov/bin/checkov --config-file .checkov.yaml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec localstack-compose.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/wish.yml
	$(BIN)/zizmor --quiet --offline --min-severity medium .github
	SAM_CLI_TELEMETRY=0 .local/tools/sam/bin/sam validate --lint --template template.yaml --region us-east-1
	$(BIN)/python -m infra.packaging.locks --check

.local/tools/openapi/.ready: infra/tools/openapi/package-lock.json
	@mkdir -p $(@D) && cp infra/tools/openapi/package.json infra/tools/openapi/package-lock.json infra/tools/openapi/.npmrc $(@D)
	@echo "install the linters of the API's description …"
	@cd $(@D) && npm ci --silent --no-audit --no-fund
	@touch $@

# Redocly would ask whether there is a newer release.
LINT_DESCRIPTION = .local/tools/openapi/node_modules/.bin/spectral lint --quiet --fail-severity=hint --ruleset infra/tools/openapi/spectral.yaml $(DESCRIPTION) \
	&& REDOCLY_SUPPRESS_UPDATE_NOTICE=true REDOCLY_TELEMETRY=off .local/tools/openapi/node_modules/.bin/redocly lint --config infra/tools/openapi/redocly.yaml $(DESCRIPTION)
DESCRIPTION = chalice_app/chalicelib/openapi.json

fix: setup  ## format, and repair what can be repaired
	$(BIN)/ruff check --fix --exit-zero --quiet .
	$(BIN)/ruff format .
	PYTHONPATH=.:chalice_app $(BIN)/python -m infra.description
	$(BIN)/mdformat README.md CHANGELOG.md docs
	$(BIN)/ruff check .

hooks: setup  ## have git check format, types, imports and locks at each commit
	$(BIN)/pre-commit install

lock: setup  ## bring the locks up to date with the requirements: UPGRADE=1 takes the newest releases
	$(BIN)/python -m infra.packaging.locks $(if $(UPGRADE),--upgrade)
