"""A season of decisions by a planted model: probabilities that hold, until on a known day they no longer do."""

import dataclasses
import datetime as dt
from typing import Any

import numpy as np
import polars as pl
from scipy.special import ndtr

from bq.core import db
from bq.core.namespace import Namespace, Tier
from bq.market import calendars
from bq.monitoring import records
from bq.monitoring.predictions import Promise, Subject
from bq.monitoring.records import Scan
from bq.serving import frozen, support
from bq.serving.model_records import Chosen
from bq.serving.registry import Artefact
from bq.strategies.contract import Strategy, Table
from bq.strategies.events import FeatureSet
from bq.strategies.task import Task
from bq.surface import params
from tests import stored

CLASSES = ("Loss", "Minor", "Good", "Excellent")
FIRST = dt.date(2016, 1, 4)
HELD = 10  # sessions from decision to outcome
MEANS = np.array([-0.6, 0.1, 0.4, 0.9])  # outcome of each class
SPREAD = 0.08  # of outcomes within a class: never beyond its edges but rarely
MODEL = "0123456789abcdef"
PRIOR = (0.4, 0.2, 0.25, 0.15)


def days(sessions: int) -> list[dt.date]:
    """Sessions of an exchange from FIRST on."""
    known = calendars.sessions("XNYS")["session"]
    return known.filter(known >= FIRST).head(sessions).to_list()


def season(
    sessions: int = 300,
    *,
    symbols: int = 8,
    changes: int | None = None,
    shift: float = 0.0,
    flipped: float = 0.0,
    persistence: float = 0.0,
    together: float = 0.0,
    seed: int = 1,
) -> pl.DataFrame:
    """Decisions that count, as `outcomes.counted` gives them, with the features `x` and `y` beside.

    The model knows the law: P(class) is softmax of PRIOR tilted by x, and outcomes follow it. From session number
    `changes` on, `x` is shifted by `shift` (the model still knows the law: a covariate shift), and a share `flipped` of
    the events gets the class of the mirrored law (the law itself changes: a concept drift). persistence : lag-1
    autocorrelation of what the x of a session share. together : share of the luck of an outcome that all events have in
    common whose holding times overlap.
    """
    rng = np.random.default_rng(seed)
    calendar = days(sessions + HELD + 1)
    common, x = np.zeros(sessions), np.zeros((sessions, symbols))
    for t in range(sessions):
        common[t] = persistence * (common[t - 1] if t else 0.0) + np.sqrt(1 - persistence**2) * rng.standard_normal()
        x[t] = np.sqrt(0.2) * common[t] + np.sqrt(0.8) * rng.standard_normal(symbols)
    late = np.arange(sessions) >= (sessions if changes is None else changes)
    x[late] += shift
    probabilities = law(x.ravel())
    turn = np.repeat(late, symbols) & (rng.random(sessions * symbols) < flipped)
    truth = np.where(turn[:, None], probabilities[:, ::-1], probabilities)
    luck = np.sqrt(together) * np.repeat(_overlapping(rng, sessions), symbols)
    luck += np.sqrt(1 - together) * rng.standard_normal(len(truth))
    label = (ndtr(luck)[:, None] > truth.cumsum(axis=1)).sum(axis=1).clip(max=len(CLASSES) - 1)
    outcome = MEANS[label] + np.clip(rng.normal(0, SPREAD, len(label)), -0.09, 0.09)
    session = np.repeat(np.arange(sessions), symbols)
    close = [dt.datetime.combine(day, dt.time(21), dt.UTC) for day in calendar]
    frame = pl.DataFrame(
        {
            "scan_id": session + 1,
            "decided_utc": [close[s] + dt.timedelta(hours=1) for s in session],
            "event_id": [f"e{number:07d}" for number in range(len(session))],
            "symbol": [f"S{number % symbols:02d}" for number in range(len(session))],
            "session": [calendar[s] for s in session],
            "t0": [close[s] for s in session],
            "t1_due": [close[s + HELD] for s in session],
            "variant": "v",
            "tier": pl.Series([1] * len(session), dtype=pl.Int32),
            "model_id": MODEL,
            "track": "ml",
            "predicted_class": [CLASSES[place] for place in probabilities.argmax(axis=1)],
            "probabilities": probabilities.tolist(),
            "expected": probabilities @ MEANS,
            "confidence": probabilities.max(axis=1),
            "score": 50 + 10 * rng.standard_normal(len(session)) + 5 * x.ravel(),
            "weight": pl.Series([None] * len(session), dtype=pl.Float64),
            "in_sample": False,
            "outside_support": [["x"] if value > 3 else [] for value in x.ravel()],
            "t1": [close[s + HELD] for s in session],
            "outcome": outcome,
            "label": [CLASSES[place] for place in label],
            "source": "bars",
            "revision": 1,
            "x": x.ravel(),
            "y": rng.standard_normal(len(session)),
        }
    )
    rank = pl.col("expected").rank("ordinal", descending=True).over("session").cast(pl.Int64)
    return frame.with_columns(rank=rank, should_trade=(rank <= 3) & (pl.col("expected") > 0)).sort("session", "rank")


def _overlapping(rng: np.random.Generator, sessions: int) -> np.ndarray:
    """Luck that each HELD sessions in a row share, of variance 1."""
    daily = rng.standard_normal(sessions + HELD - 1)
    return np.convolve(daily, np.full(HELD, HELD**-0.5), mode="valid")


def law(x: np.ndarray) -> np.ndarray:
    """P(class | x), shape (n, 4)."""
    tilted = np.log(PRIOR) + x[:, None] * np.array([-0.8, -0.1, 0.3, 0.8])
    odds = np.exp(tilted - tilted.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def subject(*, draws: int = 1000, **promise) -> Subject:
    """A strategy of four classes whose model promised PRIOR, and traded at most three a session."""
    settings = params("butterfly", overrides=f"gate.draws={draws} policy.k=3")
    edges = tuple((MEANS[1:] + MEANS[:-1]) / 2)
    strategy = Strategy(
        name="butterfly",
        settings=type(settings),
        table=Table(build=lambda market, settings, wanted: None, feature_sets=(FeatureSet("toy_v1", ("x", "y")),)),
        task=lambda settings: Task(CLASSES, edges, trade_score=55.0),
    )
    return Subject(strategy, settings, {MODEL: Promise(**({"prior": PRIOR, "k": 3, "score_from": 55.0} | promise))})


def model(reference: pl.DataFrame, **bundle) -> Artefact:
    """A model that keeps `reference`, sessions of a season, as what it was trained on and promised."""
    index = {name: place for place, name in enumerate(CLASSES)}
    label = pl.col("label").replace_strict(index, return_dtype=pl.Int64)
    chances = {f"p_{name}": pl.col("probabilities").list.get(place) for name, place in index.items()}
    known = reference.with_columns(label, predicted=pl.col("probabilities").list.arg_max(), **chances)
    features = FeatureSet("toy_v1", ("x", "y"))
    made = stored.artefact(
        strategy="butterfly",
        columns=list(features.columns),
        classes=list(CLASSES),
        edges=list((MEANS[1:] + MEANS[:-1]) / 2),
        trained_through=reference["t1_due"].max().isoformat(),
        support=support.describe(features, features.matrix(reference)),
        policy=Chosen(k=3, score_from=55.0),
        tier=Tier.CHAMPION,
        **bundle,
    )
    return dataclasses.replace(
        made, reference=frozen.freeze(known, known, known.tail(len(known) // 4), features, Task(CLASSES))
    )


def record(
    decided: pl.DataFrame, model_id: str, namespace: Namespace, parameters: dict[str, Any] | None = None
) -> None:
    """Enter decisions as scans made an hour after the close, and their outcomes where they have one."""
    made = decided.drop("scan_id").with_columns(model_id=pl.lit(model_id))
    for (session,), rows in made.partition_by("session", as_dict=True, maintain_order=True).items():
        scan = Scan(
            namespace, session, rows["decided_utc"][0], parameters or {}, "da7a", "c0de", model_id, None, late=False
        )
        records.enter(scan, rows)
    known = decided.drop_nulls("outcome").select("event_id", "t1", "outcome", "label", "source", "revision")
    more = {"namespace": str(namespace), "data_hash": "da7a", "recorded_utc": dt.datetime(2030, 1, 1, tzinfo=dt.UTC)}
    with db.engine().begin() as connection:
        connection.execute(records.outcomes.insert(), [row | more for row in known.to_dicts()])
