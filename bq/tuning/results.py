"""Results of a tuning: one JSON with everything, a table of trials, return curves, and the best parameters as YAML."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
import polars as pl
from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.trial import FrozenTrial, TrialState

from bq.core import files
from bq.core.errors import BadData
from bq.core.scalars import number
from bq.core.settings import Settings
from bq.tuning import parameters
from bq.tuning.study import SEED, Study

RESULTS, CURVES, TRIALS = "tuning.json", "curves.parquet", "trials.csv"


class Tuned(NamedTuple):
    """A finished tuning."""

    results: dict[str, Any]  # plain values, the content of `tuning.json`
    curves: pl.DataFrame  # session, part, and the returns of winner, given and (strategy) buy_and_hold

    @property
    def trials(self) -> pl.DataFrame:
        """One row per trial, best first: number, value, state, reason, trades, and its values."""
        rows = [
            {name: row[name] for name in ("number", "state", "value", "trades", "reason")} | row["values"]
            for row in self.results["trials"]
        ]
        table = pl.DataFrame(rows, infer_schema_length=None)
        return table.sort("value", "number", descending=[True, False], nulls_last=True)

    @property
    def study(self) -> optuna.Study:
        """The trials as a study in memory, for Optuna's plots and importances."""
        return as_study(self.results)


def describe(study: Study, *, name: str | None) -> dict[str, Any]:
    """The results that depend on the study alone, as plain values."""
    found: dict[str, Any] = {
        "study": name or "in memory",
        "seed": study.seed,
        "ranges": {key: distribution_to_json(of) for key, of in study.ranges.items()},
        "trials": [_row(trial) for trial in study.trials],
    }
    return found | {"importances": importances(as_study(found))}


def _row(trial: FrozenTrial) -> dict[str, Any]:
    feasible = trial.state == TrialState.COMPLETE
    return {
        "number": trial.number,
        "sampler_seed": trial.user_attrs.get(SEED),
        "state": "feasible" if feasible else "infeasible",
        "value": trial.value if feasible else None,
        "values": rounded_values(trial),
        "trades": trial.user_attrs.get("trades"),
        "folds": trial.user_attrs.get("folds"),
        "reason": trial.user_attrs.get("reason", ""),
    }


def rounded_values(trial: FrozenTrial) -> dict[str, Any]:
    """The values of a trial, rounded as they are applied."""
    return {name: parameters.rounded(value) for name, value in trial.params.items()}


def as_study(results: dict[str, Any]) -> optuna.Study:
    """A study in memory with the trials of these results."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ranges = {name: json_to_distribution(text) for name, text in results["ranges"].items()}
    made = optuna.create_study(direction="maximize", study_name=results["study"])
    for row in results["trials"]:
        state = TrialState.COMPLETE if row["state"] == "feasible" else TrialState.PRUNED
        own = {"params": row["values"], "distributions": ranges, "state": state, "value": row["value"]}
        made.add_trial(optuna.trial.create_trial(**own))
    return made


def importances(study: optuna.Study) -> list[tuple[str, float]]:
    """Share of each parameter in the spread of the objective (fANOVA, Hutter et al. 2014), largest first.

    Empty where fewer than four trials are feasible or all have the same value.
    """
    values = [number(trial.value) for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))]
    if len(values) < 4 or np.ptp(values) == 0:
        return []
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return list(optuna.importance.get_param_importances(study, evaluator=evaluator).items())


def plain(value: Any) -> Any:
    """Values that JSON has: a number that is not finite becomes None."""
    if isinstance(value, dict):
        return {key: plain(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [plain(own) for own in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def save(tuned: Tuned, folder: Path, *, source: Path, model: type[Settings]) -> list[dict[str, str]]:
    """Write everything into a run folder; return the downloads with their labels.

    source : parameter file that the optimised one is made from. model : its settings class.
    """
    strategy, target = tuned.results["strategy"], tuned.results["target"]
    optimised = f"{strategy}_optimised.yaml"
    note = (
        f"Found by `make tune STRATEGY={strategy} TARGET={target}`, study {tuned.results['study']}.\n"
        f"{tuned.results['verdict']['headline']}."
    )
    files.write_json(folder / RESULTS, tuned.results)
    files.write_parquet(folder / CURVES, tuned.curves)
    files.write_text(folder / TRIALS, tuned.trials.write_csv())
    values = tuned.results["winner"]["values"]
    parameters.write(folder / optimised, values, model, source=source, note=note)
    labels = {optimised: "Optimised parameters (YAML)", RESULTS: "All results (JSON)", TRIALS: "Trials (CSV)"}
    return [{"label": label, "file": file} for file, label in labels.items()]


def load(folder: Path | str) -> Tuned:
    """Read what `save` wrote. Raises BadData where there is none."""
    folder = Path(folder)
    if not (folder / RESULTS).is_file():
        raise BadData(f"{folder}: must hold {RESULTS} of a tuning, but does not. Run `make tune`.")
    return Tuned(files.read_json(folder / RESULTS), files.read_parquet(folder / CURVES))
