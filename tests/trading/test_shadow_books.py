"""A shadow book is what the ledger would hold, were the track alone at a broker that never fails: to the cent."""

import random

import polars as pl
import pytest
import season
from season import DAYS, NONE, ToyDesk, day, settings_of

from bq.trading import curve, shadow
from bq.trading.shadow import Shadow, Wanted

ACCOUNT, NAMESPACE = f"dry-run.{season.NAMESPACE}", str(season.NAMESPACE)
ALONE = {"tracks": [{"name": "ButterAI", "share": 1.0, "decides": "champion"}]}
POOL = ("S1", "S2", "S33", "S444", "FLY", "GNAT", "BEE")
LENGTH = 24


def decided(seed: int) -> list[list[str]]:
    """Symbols that are wanted at each close, best first."""
    chance = random.Random(seed)
    return [chance.sample(POOL, chance.choice([0, 0, 1, 2, 3])) for _ in range(LENGTH)]


def shadowed(seed: int, settings) -> Shadow:
    book = Shadow(ToyDesk(), settings.trading)
    for n, symbols in enumerate(decided(seed)):
        asked = Wanted(season.events(DAYS[n], symbols), "expected") if symbols else None
        book.day(DAYS[n], DAYS[n + 1], asked)
    return book


@pytest.mark.parametrize("limits", [{}, {"max_positions": 2}, {"max_daily_orders": 3}], ids=["wide", "few", "orders"])
def test_its_profit_is_the_ledger_s_of_every_session_to_the_cent(limits):
    settings = settings_of(**ALONE, **limits)
    held = [len(day(DAYS[n], settings, symbols, faults=NONE).held) for n, symbols in enumerate(decided(3))]
    book = shadowed(3, settings).made()
    ledger = curve.running(ACCOUNT, NAMESPACE)
    both = book.select("session", ours=pl.col("pnl").cum_sum()).join(ledger, on="session", how="left")
    apart = (both["ours"] - both["pnl"].forward_fill().fill_null(0.0)).abs()
    assert apart.max() < 0.005
    assert book["n_open"].to_list() == held
    assert max(held) >= 2 and book["pnl"].abs().sum() > 100


def test_what_was_closed_and_what_is_open_is_all_that_it_made():
    settings = settings_of(**ALONE)
    book = shadowed(5, settings)
    made, closed = book.made(), book.closed()
    assert len(closed) >= 8
    assert made["equity"][-1] == pytest.approx(settings.trading.capital + made["pnl"].sum())
    empty = made.filter(n_open=0)
    last = empty["session"][-1]  # nothing is held: what was made is what was closed
    total = made.filter(pl.col("session") <= last)["pnl"].sum()
    assert closed.filter(pl.col("left") <= last)["pnl"].sum() == pytest.approx(total)


def test_without_an_answer_a_track_wants_nothing_and_a_rule_what_it_scores():
    settings = settings_of()
    champion, rule = settings.trading.tracks
    scan = season.scanned(DAYS[0], ["S1", "S2", *(f"S{n}0" for n in range(12))], tier=3)
    symbols = [row["symbol"] for row in scan.decisions.to_dicts()]

    def asked(track):
        return shadow.wanted(ToyDesk(), season.STRATEGY, settings, track, scan, lambda: season.events(DAYS[0], symbols))

    assert asked(champion) is None
    assert asked(rule).rows["symbol"].to_list() == symbols[:11]  # scores of 50 and above, whoever's the symbol is
