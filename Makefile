# ButterQuant Workbench. `make` alone prints this help; every target sets itself up on a fresh clone.
.DEFAULT_GOAL := help

# Variables of the targets that read data (see docs/commands.md). They travel through the environment, so that a value is
# never part of a shell command.
VARIABLES := STRATEGY PARAMS SET SYMBOLS FROM TO DATE RUN EVENT A B FORCE QUICK TRIALS OBJECTIVE TARGET ARCHIVE \
  FAMILY STRENGTH MARKETS FROM_FILE PERMUTE FORMAT TRACK HOST PORT AGAINST ALL PLAN USE_RL BROKER FLEX WORKERS ROWS

# A mistyped variable would be ignored, and a long run with it: names on the command line are known, or make stops.
KNOWN := $(VARIABLES) PYTHON VENV SHELL NOTIFY_CMD BQ_HOME BQ_DATA_ROOT BQ_WORKERS BQ_LOG BQ_DATABASE_URL BQ_DASK_SCHEDULER \
  BQ_DASK_TLS BQ_SECRET_NAMES BQ_SERVE_TOKEN BQ_MIGRATE_TO BQ_TEST_DATA BQ_TEST_TIMESCALE_URL BQ_FULL BQ_CRASH
UNKNOWN := $(filter-out $(KNOWN),$(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name))))

# Which targets take a variable that the others have no use for: there it is said to change nothing.
TAKEN.ALL       := help
TAKEN.EVENT     := explain
TAKEN.A         := diff
TAKEN.B         := diff
TAKEN.DATE      := scan status params
TAKEN.RUN       := report history ledger reproduce ab
TAKEN.FORCE     := retrain cycle collect restore
TAKEN.TRIALS    := tune tune-weights calibrate params
TAKEN.OBJECTIVE := tune params
TAKEN.TARGET    := tune
TAKEN.TRACK     := positions orders pnl ab
TAKEN.BROKER    := trade-paper positions orders pnl reconcile
TAKEN.FLEX      := reconcile
TAKEN.PLAN      := ab
TAKEN.AGAINST   := replay
TAKEN.PERMUTE   := audit
TAKEN.FORMAT    := report
TAKEN.ARCHIVE   := backup restore
TAKEN.FAMILY    := calibrate
TAKEN.STRENGTH  := calibrate
TAKEN.MARKETS   := calibrate
TAKEN.HOST      := serve cluster
TAKEN.PORT      := serve cluster lab dashboard tune-ui
TAKEN.WORKERS   := tune cluster
TAKEN.ROWS      := bench
comma := ,
GOALS := $(or $(MAKECMDGOALS),help)
TYPED := $(foreach name,$(VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))
$(foreach name,$(TYPED),$(if $(and $(TAKEN.$(name)),$(value $(name))),$(if $(filter $(TAKEN.$(name)),$(GOALS)),,\
  $(warning $(name) changes nothing in `make $(GOALS)`: it is for $(subst $() ,$(comma) ,$(TAKEN.$(name)))))))

# A value is text and no make syntax: a `$` in it arrives as it is. Before anything expands one.
GIVEN := $(foreach name,$(KNOWN),$(if $(filter command environment,$(origin $(name))),$(name)))
$(foreach name,$(GIVEN),$(eval override $(name) := $$(value $(name))))
export $(VARIABLES) $(filter-out SHELL,$(GIVEN))

SHELL  := /bin/bash
PYTHON ?= python3
VENV   := .venv
READY  := $(VENV)/.ready
BQ     := $(VENV)/bin/python -m bq

# These two are part of shell commands.
SIGNS := $$ ` ; & | < > ( ) ' " \ * ?
$(foreach name,PYTHON VENV,$(foreach sign,$(SIGNS),$(if $(findstring $(sign),$($(name))),\
  $(error $(name) must be a path without any of $(SIGNS), but is $($(name))))))

# The nearest of the known names to one, as a question; a full stop where none is near.
NEAREST := import difflib, sys; known = {name.lower(): name for name in sys.argv[2:]}; \
  print(*(known[name] for name in difflib.get_close_matches(sys.argv[1].lower(), known, 1)))
nearest = $(shell $(PYTHON) -c '$(NEAREST)' '$(subst ',,$(1))' $(2))
meant = $(if $(1),; did you mean $(1)?,.)

ifneq ($(UNKNOWN),)
unexport $(UNKNOWN)
$(error not a variable of this Makefile: $(UNKNOWN)$(call meant,$(call nearest,$(firstword $(UNKNOWN)),$(KNOWN))) \
  Known: $(KNOWN))
endif

# So with targets: where one is mistyped, none runs.
TARGETS := $(shell sed -nE 's/^([a-z-]+): .*/\1/p' '$(firstword $(MAKEFILE_LIST))')
STRANGE := $(filter-out $(TARGETS),$(foreach goal,$(MAKECMDGOALS),$(if $(findstring /,$(goal)),,$(goal))))
ifneq ($(and $(TARGETS),$(STRANGE)),)
$(error not a target of this Makefile: $(STRANGE)$(call meant,$(call nearest,$(firstword $(STRANGE)),$(TARGETS))) \
  `make help ALL=1` lists all)
endif

# `## [group] text` after a target is its line in the help; `[group *]`: a first day needs it.
define LIST
BEGIN { groups = split("train,data,decide,trade,watch,look back,keep,workbench", order, ",") }
/^[a-z-]+:.*## / {
  n++; name[n] = text[n] = $$0; sub(/:.*/, "", name[n]); sub(/.*## /, "", text[n]); group[n] = "further"
  if (match(text[n], /^\[[^]]*\] /)) {
    group[n] = substr(text[n], 2, RLENGTH - 3); text[n] = substr(text[n], RLENGTH + 1)
  }
  first[n] = sub(/ \*$$/, "", group[n])
}
function line(i) { printf "  %-14s%s\n", name[i], text[i] }
function list(own) { known[own] = 1; print own; for (i = 1; i <= n; i++) if (group[i] == own) line(i) }
END {
  if (ENVIRON["ALL"] ~ /^(|0|no|false)$$/) { for (i = 1; i <= n; i++) if (first[i]) line(i) }
  else {
    for (g = 1; g <= groups; g++) list(order[g])
    for (g = 1; g <= n; g++) if (!(group[g] in known)) list(group[g])
  }
}
endef
export LIST

# What pip says of each package, as a line for every twentieth; "Processing" it says of one from a folder.
define PROGRESS
/^(Collecting|Processing|Ignoring|Requirement already)/ { if (++n % 20 == 0) say("  " n " of " all " packages downloaded") }
/^Installing/ { say("  installing them: a minute or so, in which nothing is said") }
/^Successfully/ { say("  installed") }
function say(text) { print text; fflush() }
endef
export PROGRESS

help: ## [workbench] this list (ALL=1: every target, by group)
	@echo "ButterQuant Workbench: make TARGET [VARIABLE=value …]"
	@awk "$$LIST" $(firstword $(MAKEFILE_LIST))
	@echo "Variables: STRATEGY=butterfly  PARAMS=parameters/butterfly.yaml  SET=\"learning.folds=6\"  SYMBOLS=AAPL,MSFT"
	@echo "           FROM=2012-01-01  TO=2020-12-31  FORCE=1 (run although nothing is new)"
	@echo "           QUICK=1 (a small look: fewer dates or draws; a retrain then deploys nothing, and counts as a look)"
	@case "$$ALL" in ""|0|no|false) echo "Every target: make help ALL=1. What each does: docs/commands.md, or make docs";; esac

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	  { echo "Python 3.11 to 3.13 is needed, but '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Use: make PYTHON=python3.12 …"; exit 2; }
	@echo "setting up $(VENV), once: about 2.5 GB of packages, in one to three minutes"
	@$(PYTHON) -m venv $(VENV)
	@set -o pipefail; $(VENV)/bin/python -m pip install --disable-pip-version-check --progress-bar off --require-hashes \
	  -r requirements.lock | awk -v all="$$(grep -c '^[a-z]' requirements.lock)" "$$PROGRESS"
	@$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@

retrain: $(READY) ## [train *] the main job: events, walk-forward training, gate, report
	@$(BQ) retrain
collect: $(READY) ## [train] build the events or bring them up to date, and count them (FROM_FILE=old.parquet: a labelled table)
	@$(BQ) collect
audit: $(READY) ## [train] does any feature know the future? with the reasons; PERMUTE=100: your result beside those on shuffled bars
	@$(BQ) audit
evaluate: $(READY) ## [train] score the champion on events later than its training; STRATEGY=breakout: the portfolio with and without it
	@$(BQ) evaluate
explore: $(READY) ## [train] run notebook 01 (what the features look like) and render it
	@$(BQ) explore
train: $(READY) ## [train] run notebook 02 (walk-forward training) and render it; never deploys
	@$(BQ) train
stack: $(READY) ## [train] run notebook 03 (what each of the three layers adds) and render it; never deploys
	@$(BQ) stack
report: $(READY) ## [look back] render the newest run again (RUN=<run id> for another; FORMAT=pdf, FORMAT=mail) and outputs/index.html
	@$(BQ) report
scan: $(READY) ## [decide *] decide on the newest session (DATE=2019-05-31 for another) with the champion, or the rule score
	@$(BQ) scan
cycle: $(READY) ## [decide] a day's work: retrain if a trigger holds, scan what was not scanned yet, report on the models
	@$(BQ) cycle
mature: $(READY) ## [decide] record the outcomes of the decisions that are due
	@$(BQ) mature
trade-paper: $(READY) ## [trade] trade the newest scan: reconcile, open orders, exits, entries, marks (BROKER=ibkr: on a paper account)
	@$(BQ) trade-paper
positions: $(READY) ## [trade] open positions: marks, Greeks, days to expiry, exit levels (TRACK=ButterAI: of one track)
	@$(BQ) positions
orders: $(READY) ## [trade] the newest orders and refusals, with their states (TRACK=)
	@$(BQ) orders
pnl: $(READY) ## [trade] profit and loss of each track, to the cent (TRACK=)
	@$(BQ) pnl
reconcile: $(READY) ## [trade] compare the ledger with the broker (FLEX=statement.xml: and with a Flex statement); sends nothing new
	@$(BQ) reconcile
stop: $(READY) ## [trade] the kill switch: from now on no order is sent (cancellations go on)
	@$(BQ) stop
resume: $(READY) ## [trade] turn the kill switch off
	@$(BQ) resume
explain: $(READY) ## [decide *] everything behind one event: EVENT=<beginning of its id>
	@$(BQ) explain
status: $(READY) ## [watch *] champions, last runs, events: where things stand
	@$(BQ) status
dashboard: $(READY) ## [watch *] serve outputs/index.html to this machine only; the page reloads when something is new (Ctrl-C ends it)
	@$(BQ) dashboard
history: $(READY) ## [look back] every attempt and every change of a champion, newest first (RUN=<run id>: one of them in full)
	@$(BQ) history
ledger: $(READY) ## [look back] every look at out-of-sample results, by which later results are deflated (STRATEGY=, RUN=<run id>; also as CSV)
	@$(BQ) ledger
diff: $(READY) ## [look back] what differs between two runs: A=<run id> B=<run id> (default: the two newest retrains)
	@$(BQ) diff
replay: $(READY) ## [look back] run the whole loop over history, day by day: FROM=2018-01-01 TO=2020-12-31 (AGAINST=ledger: beside your trades)
	@$(BQ) replay
reproduce: $(READY) ## [look back] make a retrain again from its record and compare both: RUN=<run id> (default: the newest)
	@$(BQ) reproduce
drift: $(READY) ## [watch] run notebook 04 (drift, performance, what is due) and render it; nothing is recorded
	@$(BQ) drift
check-drift: $(READY) ## [watch] do decisions still look like the training data, and are errors as promised?
	@$(BQ) check-drift
serve: $(READY) ## [decide] decisions over HTTP, to this machine (PORT=8060; HOST= and BQ_SERVE_TOKEN for others)
	@$(BQ) serve
ab: $(READY) ## [watch] run notebook 05 (compare tracks: of the ledger, RUN=<replay>, FROM_FILE=trades.csv); PLAN=1: time to a verdict
	@$(BQ) ab
verify: $(READY) ## [keep] check every model, event table and run folder against its hashes
	@$(BQ) verify
migrate: $(READY) ## [keep] copy all records into the database that BQ_MIGRATE_TO names (environment), and compare both
	@$(BQ) migrate
backup: $(READY) ## [keep] save models, database, parameters and runs' records in one file: ARCHIVE=backup.tar.gz
	@$(BQ) backup
restore: $(READY) ## [keep] bring a backup back: ARCHIVE=backup.tar.gz (FORCE=1: even if there are models and runs, which are kept beside)
	@$(BQ) restore
rollback: $(READY) ## [decide] go back to the model deployed before: of the champion, then of the second tier
	@$(BQ) rollback
fetch: $(READY) ## [data] fetch daily bars from IBKR into data/raw/ (SYMBOLS=AAPL,SPX FROM=2015-01-01), with market.chains quotes too
	@$(BQ) fetch
params: $(READY) ## [data *] the parameters in effect, each with its origin (a valid parameter file)
	@$(BQ) params
upload: $(READY) ## [data] check the bars of data/raw/bars/ and bring them to BQ_DATA_ROOT (s3://bucket/prefix)
	@$(BQ) upload
check-data: $(READY) ## [data *] what became of every file, symbol and row of market data, and why
	@$(BQ) check-data
tune: $(READY) ## [train *] search parameters: TRIALS=50 OBJECTIVE=calmar_ratio TARGET=strategy (STRATEGY=breakout) or model; WORKERS=4 trials at a time
	@STRATEGY="$${STRATEGY:-breakout}" $(BQ) tune
tune-ui: $(READY) ## [train] serve optuna-dashboard for the studies of make tune, to this machine (PORT=8070; Ctrl-C ends it)
	@STRATEGY="$${STRATEGY:-breakout}" $(BQ) tune-ui
tune-weights: $(READY) ## [train] learn weights of the rule score, compared with simpler ways; what passes the gate may trade (butterfly)
	@$(BQ) tune-weights
cluster: $(READY) ## [workbench] a Dask scheduler and workers on this machine (WORKERS=4 PORT=8786), or workers that join BQ_DASK_SCHEDULER
	@$(BQ) cluster
lab: $(READY) ## [workbench *] open JupyterLab on the notebooks (PORT=8890: at that port)
	@case "$$PORT" in *[!0-9]*) echo "PORT must be a whole number such as 8890, but got '$$PORT'." >&2; exit 2;; esac
	@$(VENV)/bin/jupyter lab --notebook-dir=. $${PORT:+"--port=$$PORT"} $$([ "$$(id -u)" != 0 ] || echo --allow-root)
bench: $(READY) ## [workbench] speed against the usual libraries, as ratios of one run (ROWS=GARCH,ONNX; QUICK=1 for a small look)
	@$(VENV)/bin/python -m tests.bench
docs: $(READY) ## [workbench] the documentation as pages: outputs/docs/index.html
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --site-dir "$${BQ_HOME:-.}/outputs/docs"
	@cd "$${BQ_HOME:-.}/outputs/docs" && echo "docs        $$PWD/index.html (its search works where \`make dashboard\` serves it, at /docs/)"
pictures: $(READY) ## [workbench] first screens of every kind of page, from seeded runs, into outputs/pictures (minutes; Chromium)
	@$(VENV)/bin/python -m tests.pictures
test: $(READY) ## [workbench *] run the tests
	@env -u PYTHONDONTWRITEBYTECODE $(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
calibrate: $(READY) ## [train] how often the pipeline deploys on markets without and with a signal (hours; QUICK=1: minutes)
	@$(BQ) calibrate
claims: $(READY) ## [workbench] test every statistical claim in full (long; `make test` runs small forms)
	@BQ_FULL=1 $(VENV)/bin/python -m pytest -m calibration
crash: $(READY) ## [workbench] test a crash at every call (`make test` tries a sample): long, in parts
	@BQ_CRASH=all $(VENV)/bin/python -m pytest tests/faults/test_crash.py tests/trading/test_faulty_brokers.py
lint: $(READY) ## [workbench] ruff over code and notebooks, mypy over the package
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy
lock: ## [workbench] resolve requirements.lock again (needs uv)
	@uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --extra dev pyproject.toml \
	  --output-file requirements.lock --custom-compile-command "make lock"
clean: ## [workbench] remove the environment and caches (never data, models or outputs)
	@rm -rf $(VENV) .venv-bench .pytest_cache .ruff_cache .hypothesis *.egg-info && find bq tests -name __pycache__ -prune -exec rm -rf {} +

.PHONY: $(TARGETS)
