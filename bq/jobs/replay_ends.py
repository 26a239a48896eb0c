"""What came of the decisions of a replay, and of other choices on the same events: known when it is over."""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import polars as pl

from bq.core.errors import BadData
from bq.core.namespace import Tier
from bq.jobs.replay_history import KNOWN_LATER, History
from bq.monitoring.checks import What
from bq.serving import decide, gates, registry
from bq.serving.ready import Champion, ready
from bq.serving.registry import Artefact

EARNED = pl.Schema(
    {
        "session": pl.Date,
        "decided_by": pl.String,
        "system": pl.Float64,
        "rule": pl.Float64,
        "everything": pl.Float64,
    }
)


class Alarmed(NamedTuple):
    """The first alarm of a kind on a model, and what that model would have earned from then on."""

    what: What
    model_id: str
    session: dt.date
    ahead: pl.DataFrame  # session, value: net outcome less the rule score's


class Ends:
    """Outcomes of every event of a replay, by the last day of it.

    events : of each session, as they were decided on.
    """

    def __init__(self, history: History, events: Mapping[dt.date, pl.DataFrame], last: dt.date) -> None:
        self.history, self.events, self.last = history, events, last
        self.strategy, self.settings = history.strategy, history.settings

    def _ended(self, answered: pl.DataFrame) -> pl.DataFrame:
        """Predictions with the outcomes of their events, of sessions whose events have all ended."""
        ends = self.history.rows.filter(
            pl.col("t1_due") <= self.history.closes[self.last], pl.col("outcome").is_finite()
        )
        task = self.strategy.task(self.settings)
        known = ends.select("event_id", "t1", "outcome", label=task.label(pl.col("outcome")))
        both = answered.drop(KNOWN_LATER).join(known, on="event_id", how="left", maintain_order="left")
        whole = both.group_by("session").agg(pl.col("outcome").is_not_null().all().alias("whole")).filter("whole")
        return both.join(whole.select("session"), on="session", how="semi").sort("session", "symbol")

    def earned(self, answered: Mapping[str, list[pl.DataFrame]]) -> pl.DataFrame:
        """What the system's decisions earned, the rule score's, and taking every event, as EARNED.

        answered : predictions of decided events, by what decided.
        """
        parts = []
        for by, frames in answered.items():
            ended = self._ended(pl.concat(frames))
            if len(ended):
                parts.append(self._versus(ended, by).with_columns(decided_by=pl.lit(by)))
        empty = pl.DataFrame(schema=EARNED)
        return pl.concat([empty, *(part.select(EARNED.names()).cast(EARNED) for part in parts)]).sort("session")

    def _versus(self, ended: pl.DataFrame, by: str) -> pl.DataFrame:
        value, settings = self.strategy.value, self.settings
        rule, everything = (
            value.earned(ended, column, settings).rename({"value": name})
            for column, name in (("score", "rule"), (None, "everything"))
        )
        pairs = rule.join(everything, on="session")
        if by == Tier.RULE.label:
            return pairs.with_columns(system=pl.col("rule"))
        values = self._earned(ended, self.made_by(by))
        return pairs.join(values.rename({"value": "system"}), on="session", how="left")

    def made_by(self, model_id: str) -> Champion:
        """A model of this world by its id."""
        for tier in (self.settings.namespace, self.settings.namespace.second):
            if (folder := registry.folder(tier, model_id)).is_dir():
                return ready(registry.load(folder), self.strategy, tier)
        raise BadData(f"model {model_id}: must lie in this world's models, but does not.")

    def hindsight(self, earned: pl.DataFrame, trained: Iterable[tuple[dt.date, Artefact]]) -> pl.DataFrame:
        """The choice that earned most: the rule score, every event, or a candidate from its training on."""
        choices = {"rule score": earned["rule"], "every event": earned["everything"]}
        for session, candidate in trained:
            model = ready(candidate, self.strategy, self.settings.namespace)
            values = self._would_have(model, session)
            if values is not None:
                joined = earned.select("session", "rule").join(values, on="session", how="left")
                choices[f"{candidate.model_id} from {session}"] = joined.select(
                    pl.coalesce("value", "rule")
                ).to_series()
        best = max(choices, key=lambda name: choices[name].fill_null(0.0).sum())
        return earned.select("session", value=choices[best], choice=pl.lit(best))

    def after(self, what: What, model_id: str, session: dt.date, earned: pl.DataFrame) -> Alarmed:
        """What a model would have earned beyond the rule score from its alarm on, also where another decided then."""
        values = self._would_have(self.made_by(model_id), session)
        none = pl.DataFrame(schema={"session": pl.Date, "value": pl.Float64})
        if values is None:
            return Alarmed(what, model_id, session, none)
        both = values.join(earned.select("session", "rule"), on="session")
        apart = pl.col("value").fill_null(0.0) - pl.col("rule").fill_null(0.0)
        return Alarmed(what, model_id, session, both.select("session", value=apart).sort("session"))

    def _would_have(self, model: Champion, first: dt.date) -> pl.DataFrame | None:
        """Net outcomes of a model's choices from a session on: session, value; None where no session is left."""
        later = [rows for session, rows in self.events.items() if session >= first]
        if not later:
            return None
        ended = self._ended(decide.predict(model, pl.concat(later), self.strategy))
        return self._earned(ended, model) if len(ended) else None

    def _earned(self, ended: pl.DataFrame, model: Champion) -> pl.DataFrame:
        own = decide.as_deployed(self.settings, model)
        second, task = model.bundle.tier == Tier.SECOND, self.strategy.success
        if second and task:
            return gates.success_values(ended, task, own)
        return self.strategy.value.earned(ended, "expected", own)
