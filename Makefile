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
	@echo "setting up $(VENV) (about 2.5 GB, one to three minutes, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements.lock
	@$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@

retrain: $(READY) ## [train *] the main job: events, walk-forward training, gate, report
	@$(BQ) retrain
collect: $(READY) ## [train] build the events or bring them up to date, and count them (FROM_FILE=old.parquet: a labelled table)
	@$(BQ) collect
audit: $(READY) ## [train] does any feature know the future? each with what accuses it; PERMUTE=100: on your bars, shuffled
	@$(BQ) audit
evaluate: $(READY) ## [train] score the champion on what it never saw; STRATEGY=breakout: the portfolio with and without it
	@$(BQ) evaluate
explore: $(READY) ## [train] run notebook 01 (what the features look like) and render it
	@$(BQ) explore
train: $(READY) ## [train] run notebook 02 (walk-forward training) and render it; never deploys
	@$(BQ) train
stack: $(READY) ## [train] run notebook 03 (what each of the three layers is worth) and render it; never deploys
	@$(BQ) stack
report: $(READY) ## [look back] render the newest run again (RUN=<run id> for another; FORMAT=pdf, FORMAT=mail) and outputs/index.html
	@$(BQ) report
scan: $(READY) ## [decide *] decide on the newest session (DATE=2019-05-31 for another) with the champion, or the rule score
	@$(BQ) scan
cycle: $(READY) ## [decide] what a day needs: retrain where a trigger holds, scan what was not scanned yet, report on the models
	@$(BQ) cycle
mature: $(READY) ## [decide] what came of the decisions that are due: their outcomes, recorded
	@$(BQ) mature
trade-paper: $(READY) ## [trade] trade the newest scan: reconcile, open orders, exits, entries, marks (BROKER=ibkr: on a paper account)
	@$(BQ) trade-paper
positions: $(READY) ## [trade] what is held: marks, Greeks, days to expiry, where it is closed (TRACK=ButterAI)
	@$(BQ) positions
orders: $(READY) ## [trade] the newest orders and refusals, and where each stands (TRACK=)
	@$(BQ) orders
pnl: $(READY) ## [trade] what each track made, to the cent (TRACK=)
	@$(BQ) pnl
reconcile: $(READY) ## [trade] the ledger against the broker, and FLEX=statement.xml as a third book; nothing new is sent
	@$(BQ) reconcile
stop: $(READY) ## [trade] the kill switch: from now on no order is sent (cancellations go on)
	@$(BQ) stop
resume: $(READY) ## [trade] turn the kill switch off
	@$(BQ) resume
explain: $(READY) ## [decide *] everything behind one event: EVENT=<beginning of its id>
	@$(BQ) explain
status: $(READY) ## [watch *] champions, last runs, events: where things stand
	@$(BQ) status
dashboard: $(READY) ## [watch *] serve outputs/index.html to this machine alone; the page follows what lands (Ctrl-C ends it)
	@$(BQ) dashboard
history: $(READY) ## [look back] every attempt and every change of a champion, newest first (RUN=<run id>: one of them in full)
	@$(BQ) history
ledger: $(READY) ## [look back] every look at out-of-sample results, which later ones are judged by (STRATEGY=, RUN=<run id>; as CSV)
	@$(BQ) ledger
diff: $(READY) ## [look back] what differs between two runs: A=<run id> B=<run id> (default: the two newest retrains)
	@$(BQ) diff
replay: $(READY) ## [look back] the whole loop over history, day by day: FROM=2018-01-01 TO=2020-12-31 (AGAINST=ledger: beside yours)
	@$(BQ) replay
reproduce: $(READY) ## [look back] a retrain made again from its record, and held against it: RUN=<run id> (default: the newest)
	@$(BQ) reproduce
drift: $(READY) ## [watch] run notebook 04 (drift, performance, what is due) and render it; nothing is recorded
	@$(BQ) drift
check-drift: $(READY) ## [watch] is the world still the one the model was trained in, and are its errors as promised?
	@$(BQ) check-drift
serve: $(READY) ## [decide] decisions over HTTP, to this machine (PORT=8060; HOST= and BQ_SERVE_TOKEN for others)
	@$(BQ) serve
ab: $(READY) ## [watch] run notebook 05 (tracks compared: the ledger, RUN=<replay>, FROM_FILE=trades.csv); PLAN=1: how long it takes
	@$(BQ) ab
verify: $(READY) ## [keep] check every model, event table and run folder against its hashes
	@$(BQ) verify
migrate: $(READY) ## [keep] copy all records into the database that BQ_MIGRATE_TO names (environment), and compare both
	@$(BQ) migrate
backup: $(READY) ## [keep] models, database, parameters and runs' records into one file: ARCHIVE=backup.tar.gz
	@$(BQ) backup
restore: $(READY) ## [keep] bring them back: ARCHIVE=backup.tar.gz (FORCE=1: also over models and runs, which are kept beside)
	@$(BQ) restore
rollback: $(READY) ## [decide] back to the model deployed before: of the champion, then of the second tier
	@$(BQ) rollback
fetch: $(READY) ## [data] daily bars from IBKR into data/raw/ (SYMBOLS=AAPL,SPX FROM=2015-01-01), quotes too with market.chains
	@$(BQ) fetch
params: $(READY) ## [data *] the parameters that take effect, each with where it comes from (a valid parameter file)
	@$(BQ) params
upload: $(READY) ## [data] the bars of data/raw/bars/, checked and partitioned, to where BQ_DATA_ROOT says (s3://bucket/prefix)
	@$(BQ) upload
check-data: $(READY) ## [data *] what became of every file, symbol and row of market data, and why
	@$(BQ) check-data
tune: $(READY) ## [train *] search parameters: TRIALS=50 OBJECTIVE=calmar_ratio TARGET=strategy (STRATEGY=breakout) or model; WORKERS=4 trials at a time
	@STRATEGY="$${STRATEGY:-breakout}" $(BQ) tune
tune-ui: $(READY) ## [train] optuna-dashboard over the studies of make tune, to this machine (PORT=8070; Ctrl-C ends it)
	@STRATEGY="$${STRATEGY:-breakout}" $(BQ) tune-ui
tune-weights: $(READY) ## [train] learn the weights of the rule score, beside everything simpler; what passes the gate may trade (butterfly)
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
	@cd "$${BQ_HOME:-.}/outputs/docs" && echo "docs        $$PWD/index.html (its search works where \`make dashboard\` serves it, at /docs/index.html)"
pictures: $(READY) ## [workbench] first screens of every kind of page, from seeded runs, into outputs/pictures (minutes; Chromium)
	@$(VENV)/bin/python -m tests.pictures
test: $(READY) ## [workbench *] run the tests
	@$(VENV)/bin/python -m pytest -n 2 --dist loadfile
calibrate: $(READY) ## [train] how often the pipeline deploys on markets without and with a signal (hours; QUICK=1: minutes)
	@$(BQ) calibrate
claims: $(READY) ## [workbench] the full form of every statistical claim (long; the tests hold small forms)
	@BQ_FULL=1 $(VENV)/bin/python -m pytest -m calibration
crash: $(READY) ## [workbench] the crash test at every call (the suite tries a sample): long, in parts
	@BQ_CRASH=all $(VENV)/bin/python -m pytest tests/faults/test_crash.py tests/trading/test_faulty_brokers.py
lint: $(READY) ## [workbench] ruff over code and notebooks, mypy over the package
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy
lock: ## [workbench] resolve requirements.lock again (needs uv)
	@uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --extra dev pyproject.toml \
	  --output-file requirements.lock --custom-compile-command "make lock"
clean: ## [workbench] remove the environment and caches (never data, models or outputs)
	@rm -rf $(VENV) .venv-bench .pytest_cache .ruff_cache .hypothesis *.egg-info && find bq tests -name __pycache__ -prune -exec rm -rf {} +

.PHONY: $(TARGETS)
