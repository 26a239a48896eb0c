# ButterQuant Workbench. `make` alone prints this help; every target sets itself up on a fresh clone.
.DEFAULT_GOAL := help

# Variables of the targets that read data (see README). They travel through the environment, so that a value is never
# part of a shell command.
VARIABLES := STRATEGY PARAMS SET SYMBOLS FROM TO DATE RUN EVENT A B FORCE QUICK TRIALS OBJECTIVE TARGET ARCHIVE \
  FAMILY STRENGTH MARKETS FROM_FILE PERMUTE FORMAT TRACK USE_RL

# A mistyped variable would be ignored, and a long run with it: names on the command line are known, or make stops.
KNOWN := $(VARIABLES) PYTHON VENV SHELL NOTIFY_CMD BQ_HOME BQ_WORKERS BQ_LOG BQ_DATABASE_URL BQ_DASK_SCHEDULER \
  BQ_SECRET_NAMES BQ_TEST_DATA BQ_FULL BQ_CRASH
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

ifneq ($(UNKNOWN),)
unexport $(UNKNOWN)
NEAREST := $(shell $(PYTHON) -c 'import difflib, sys; print(*difflib.get_close_matches(sys.argv[1].upper(), sys.argv[2:], 1))' \
  '$(subst ',,$(firstword $(UNKNOWN)))' $(KNOWN))
$(error not a variable of this Makefile: $(UNKNOWN)$(if $(NEAREST),; did you mean $(NEAREST)?,.) Known: $(KNOWN))
endif

# `## text` after a target is its line in the help.
help: ## this list
	@echo "ButterQuant Workbench: make TARGET [VARIABLE=value …]"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 16
	@echo "Variables: STRATEGY=butterfly  PARAMS=parameters/butterfly.yaml  SET=\"learning.folds=6\"  SYMBOLS=AAPL,MSFT"
	@echo "           FROM=2012-01-01  TO=2020-12-31  FORCE=1 (run although nothing is new)"
	@echo "           QUICK=1 (a small look: fewer dates or draws; a retrain then deploys nothing, and counts as a look)"

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	  { echo "Python 3.11 to 3.13 is needed, but '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Use: make PYTHON=python3.12 …"; exit 2; }
	@echo "setting up $(VENV) (about 2.5 GB, one to three minutes, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements.lock
	@$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@

retrain: $(READY) ## the main job: events, walk-forward training, gate, report
	@$(BQ) retrain
collect: $(READY) ## build the events or bring them up to date, and count them (FROM_FILE=old.parquet: a labelled table)
	@$(BQ) collect
audit: $(READY) ## does any feature know the future? each with what accuses it; PERMUTE=100: on your bars, shuffled
	@$(BQ) audit
evaluate: $(READY) ## score the champion on what it never saw; STRATEGY=breakout: the portfolio with and without it
	@$(BQ) evaluate
explore: $(READY) ## run notebook 01 (what the features look like) and render it
	@$(BQ) explore
train: $(READY) ## run notebook 02 (walk-forward training) and render it; never deploys
	@$(BQ) train
stack: $(READY) ## run notebook 03 (what each of the three layers is worth) and render it; never deploys
	@$(BQ) stack
report: $(READY) ## render the newest run again (RUN=<run id> for another; FORMAT=pdf, FORMAT=mail) and outputs/index.html
	@$(BQ) report
scan: $(READY) ## decide on the newest session (DATE=2019-05-31 for another) with the champion, or the rule score
	@$(BQ) scan
cycle: $(READY) ## what a day needs: retrain where a trigger holds, scan what was not scanned yet, report on the models
	@$(BQ) cycle
mature: $(READY) ## what came of the decisions that are due: their outcomes, recorded
	@$(BQ) mature
trade-paper: $(READY) ## trade the newest scan at the dry-run broker: reconcile, open orders, exits, entries, marks
	@$(BQ) trade-paper
positions: $(READY) ## what is held: marks, Greeks, days to expiry, where it is closed (TRACK=ButterAI)
	@$(BQ) positions
orders: $(READY) ## the newest orders and refusals, and where each stands (TRACK=)
	@$(BQ) orders
pnl: $(READY) ## what each track made, to the cent (TRACK=)
	@$(BQ) pnl
reconcile: $(READY) ## the ledger against the broker: positions, executions, orders; nothing new is sent
	@$(BQ) reconcile
stop: $(READY) ## the kill switch: from now on no order is sent (cancellations go on)
	@$(BQ) stop
resume: $(READY) ## turn the kill switch off
	@$(BQ) resume
explain: $(READY) ## everything behind one event: EVENT=<beginning of its id>
	@$(BQ) explain
status: $(READY) ## champions, last runs, events: where things stand
	@$(BQ) status
dashboard: $(READY) ## serve outputs/index.html to this machine alone; the page follows what lands (Ctrl-C ends it)
	@$(BQ) dashboard
history: $(READY) ## every attempt and every change of a champion, newest first (RUN=<run id>: one of them in full)
	@$(BQ) history
ledger: $(READY) ## every look at out-of-sample results, which later ones are judged by (STRATEGY=, RUN=<run id>; as CSV)
	@$(BQ) ledger
diff: $(READY) ## what differs between two runs: A=<run id> B=<run id> (default: the two newest retrains)
	@$(BQ) diff
replay: $(READY) ## the whole loop over history, day by day: FROM=2018-01-01 TO=2020-12-31 (default: the newest three years)
	@$(BQ) replay
reproduce: $(READY) ## a retrain made again from its record, and held against it: RUN=<run id> (default: the newest)
	@$(BQ) reproduce
drift: $(READY) ## run notebook 04 (drift, performance, what is due) and render it; nothing is recorded
	@$(BQ) drift
check-drift: $(READY) ## is the world still the one the model was trained in, and are its errors as promised?
	@$(BQ) check-drift
verify: $(READY) ## check every model, event table and run folder against its hashes
	@$(BQ) verify
backup: $(READY) ## models, database, parameters and runs' records into one file: ARCHIVE=backup.tar.gz
	@$(BQ) backup
restore: $(READY) ## bring them back: ARCHIVE=backup.tar.gz (FORCE=1: also over models and runs, which are kept beside)
	@$(BQ) restore
rollback: $(READY) ## back to the model deployed before: of the champion, then of the second tier
	@$(BQ) rollback
params: $(READY) ## the parameters that take effect, each with where it comes from (a valid parameter file)
	@$(BQ) params
check-data: $(READY) ## what became of every file, symbol and row of market data, and why
	@$(BQ) check-data
tune: $(READY) ## search parameters: TRIALS=50 OBJECTIVE=calmar_ratio TARGET=strategy (STRATEGY=breakout) or model
	@STRATEGY="$${STRATEGY:-breakout}" $(BQ) tune
tune-weights: $(READY) ## learn the weights of the rule score, beside everything simpler; what passes the gate may trade (butterfly)
	@$(BQ) tune-weights
lab: $(READY) ## open JupyterLab on the notebooks
	@$(VENV)/bin/jupyter lab --notebook-dir=.
bench: $(READY) ## speed against the usual libraries, as ratios of one run (QUICK=1 for a small look)
	@$(VENV)/bin/python -m tests.bench
pictures: $(READY) ## first screens of every kind of page, from seeded runs, into outputs/pictures (minutes; Chromium)
	@$(VENV)/bin/python -m tests.pictures
test: $(READY) ## run the tests
	@$(VENV)/bin/python -m pytest -n 2 --dist loadfile
calibrate: $(READY) ## how often the pipeline deploys on markets without and with a signal (hours; QUICK=1: minutes)
	@$(BQ) calibrate
claims: $(READY) ## the full form of every statistical claim (long; the tests hold small forms)
	@BQ_FULL=1 $(VENV)/bin/python -m pytest -m calibration
crash: $(READY) ## the crash test at every call (the suite tries a sample): some minutes
	@BQ_CRASH=all $(VENV)/bin/python -m pytest tests/faults/test_crash.py tests/trading/test_faulty_brokers.py
lint: $(READY) ## ruff over code and notebooks, mypy over the package
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy
lock: ## resolve requirements.lock again (needs uv)
	@uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --extra dev pyproject.toml \
	  --output-file requirements.lock --custom-compile-command "make lock"
clean: ## remove the environment and caches (never data, models or outputs)
	@rm -rf $(VENV) .venv-bench .pytest_cache .ruff_cache .hypothesis *.egg-info && find bq tests -name __pycache__ -prune -exec rm -rf {} +

.PHONY: help retrain collect audit evaluate explore train stack report scan cycle mature trade-paper positions orders pnl reconcile stop resume explain status dashboard history ledger diff verify backup restore replay reproduce rollback params check-data check-drift drift tune tune-weights lab bench pictures test calibrate claims crash lint lock clean
