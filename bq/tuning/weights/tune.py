"""Learn the weights of a score, hold them against everything simpler, and ask the gate."""

import polars as pl

from bq.learning.weighing import weighing_of
from bq.market import MarketData
from bq.serving.model_records import ParityRecord
from bq.strategies.events import weakest_source
from bq.tuning.weights import figures, judging, study
from bq.tuning.weights.figures import HELD_OUT, WALKED, Beside
from bq.tuning.weights.judging import Judged
from bq.tuning.weights.results import Gain, PartOf, Regret, Seeds, Studied, WeightsRecord
from bq.tuning.weights.study import Ask, Walked


def tune(
    events: pl.DataFrame, ask: Ask, market: MarketData | None = None, *, run_id: str = "", asks_gate: bool = False
) -> tuple[Studied, Judged]:
    """Walk forward, follow the comparators, judge; nothing is deployed. Trainings, and the whole, count as looks.

    events : all of the market. run_id : of a run, empty by hand. Raises BadParameters for a strategy whose score has no
    components, BadData or TemporalOverlap where history is too short.
    """
    matured = study.whole_sessions(events)
    walked = study.walk(events, ask)
    beside = figures.beside(walked, matured, ask)
    judged = judging.judge(walked, matured, ask, market, run_id=run_id or f"by hand {walked.name}", asks_gate=asks_gate)
    record = _record(walked, beside, judged, matured, ask)
    return Studied(record, beside.curves), judged


def _record(walked: Walked, beside: Beside, judged: Judged, events: pl.DataFrame, ask: Ask) -> WeightsRecord:
    weighing, gate = weighing_of(ask.strategy), ask.settings.gate
    spread = figures.over_seeds(beside.curves, alpha=gate.alpha, seed=ask.settings.tuning.seed)
    shares = [beside.curves[f"weight_{name}"].to_numpy() for name in weighing.components]
    return WeightsRecord(
        strategy=ask.strategy.name,
        study=walked.name,
        earns=ask.strategy.value.name(ask.settings),
        components=list(weighing.components),
        given=list(weighing.given(ask.settings)),
        steps=ask.plan.steps,
        seeds=ask.seeds,
        trials=walked.trials,
        parts=[_part(name, beside, judged, events, ask) for name in (WALKED, HELD_OUT)],
        spread=Seeds(value=spread.mean, low=spread.low, high=spread.high, seeds=spread.seeds, blocks=spread.blocks),
        hedge=Regret(value=beside.hedge.regret, bound=beside.hedge.bound, sessions=walked.sessions.matured),
        points={name: walked.grid.points[of].tolist() for name, of in beside.points.items()},
        newest=[float(share[-1]) for share in shares],
        moved=figures.changed(shares),
        parity=ParityRecord(**judged.parity._asdict()),
        components_of_gate=judged.verdict.components,
        deploys=judged.verdict.deploy,
        model_id=judged.artefact.model_id,
        source=weakest_source(events),
    )


def _part(name: str, beside: Beside, judged: Judged, events: pl.DataFrame, ask: Ask) -> PartOf:
    days = beside.curves.filter(pl.col("part") == name)["session"].sort()
    found = figures.gains(beside.curves, events, ask.settings, name)
    gains = [
        Gain.of(who, what.removeprefix("over_") if what != "net" else "", interval)
        for who, several in found.items()
        for what, interval in several.items()
    ]
    first, last = days[0], days[-1]
    counted = judging.trades(judged.columns, name, ask)
    return PartOf(part=name, first=first, last=last, sessions=len(days), trades=counted, gains=gains)
