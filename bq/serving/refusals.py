"""Which component of the gate refuses what: of many verdicts on markets whose truth is known."""

from collections.abc import Mapping, Sequence

import polars as pl

from bq.serving.gates import Verdict

TABLE = pl.Schema(
    {
        **{"strength": pl.String, "tier": pl.Int64, "component": pl.String},
        **{"verdicts": pl.Int64, "asked": pl.Int64, "refused": pl.Int64, "inconclusive": pl.Int64},
        **{"refused_alone": pl.Int64, "deployed": pl.Int64},
    }
)


def refusals(verdicts: Mapping[str, Sequence[Verdict]]) -> pl.DataFrame:
    """How often each component refuses, and how often it alone does: one row a strength, tier and component.

    verdicts : by the strength of what was planted, with none on markets without a signal. A component refuses where it
    does not hold, inconclusive included; alone, where all others hold: what would have been deployed without it.

    Returns strength, tier, component, verdicts, asked (verdicts that have the component), refused, inconclusive (of
    them), refused_alone, deployed; in the order of the strengths and of the components in a verdict.
    """
    rows = []
    for strength, found in verdicts.items():
        for tier in sorted({verdict.tier for verdict in found}):
            own = [verdict for verdict in found if verdict.tier == tier]
            rows += [_row(strength, kind, own) for kind in _kinds(own)]
    return pl.DataFrame(rows, schema=TABLE)


def _kinds(verdicts: Sequence[Verdict]) -> list[str]:
    """The components asked for, in the order in which they are first met."""
    return list(dict.fromkeys(str(component.kind) for verdict in verdicts for component in verdict.components))


def _row(strength: str, kind: str, verdicts: Sequence[Verdict]) -> dict[str, str | int]:
    asked = [component for verdict in verdicts for component in verdict.components if component.kind == kind]
    alone = [verdict for verdict in verdicts if [str(component.kind) for component in verdict.failed] == [kind]]
    return {
        "strength": strength,
        "tier": int(verdicts[0].tier),
        "component": kind,
        "verdicts": len(verdicts),
        "asked": len(asked),
        "refused": sum(not component.holds for component in asked),
        "inconclusive": sum(component.holds is None for component in asked),
        "refused_alone": len(alone),
        "deployed": sum(verdict.deploy for verdict in verdicts),
    }
