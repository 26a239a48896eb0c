"""What the gate asks of a model's features: none leaks, and the user's own stand in files."""

import polars as pl

from bq.audit import leaks
from bq.core.settings import Settings
from bq.market import MarketData
from bq.serving.model_records import Bundle
from bq.strategies import registered
from bq.strategies.component import Component, Kind
from bq.strategies.contract import Strategy


def components(
    bundle: Bundle, events: pl.DataFrame, market: MarketData, strategy: Strategy, settings: Settings
) -> list[Component]:
    """Components of the features that a model was trained on: the audit's, and of the user's own where there are some.

    events : that it was trained on, of this market.
    """
    found = leaks.audit(events, market, strategy, settings, depth=leaks.BEFORE_A_GATE)
    return [leaking(found), *([in_files(bundle)] if bundle.registered else [])]


def leaking(found: leaks.Audit) -> Component:
    """No feature is accused of knowing what came after."""
    accused = {line.feature: [str(kind) for kind in line.accusations] for line in found.accused}
    return Component.asked(
        Kind.LEAKS,
        not accused,
        value=len(accused),
        threshold=0,
        events=found.labels.events,
        more={"features": len(found.lines), "accused": accused},
    )


def in_files(bundle: Bundle) -> Component:
    """Every feature of the user's own stands in a file that is as it was when the model was trained."""
    today = registered.digests([name for name in bundle.registered if name in registered.known()])
    without = [name for name, digest in bundle.registered.items() if digest is None]
    changed = [name for name, digest in bundle.registered.items() if digest and today.get(name) != digest]
    facts = {"features": len(bundle.registered), "by_hand": without, "changed": changed}
    return Component.asked(Kind.OWN_FILES, not (without or changed), more=facts)
