"""When so many rows are quarantined that the rest is not to be trusted."""

import polars as pl


def excess(
    quarantined: pl.DataFrame, count: int, *, limit: float, of: str, setting: str, symbols: str, advice: str = ""
) -> str:
    """Why no run may use the rest, empty where the share of quarantined rows is at most `limit`.

    quarantined : findings with `symbol` and `rule`. count : rows among which they are, in words `of`. setting : what
    sets the limit. symbols : what the symbols are called. advice : what to try first.
    """
    if len(quarantined) <= limit * count:
        return ""
    worst, reasons = (
        ", ".join(f"{value} {number:,}" for value, number in quarantined[name].value_counts(sort=True).head(5).rows())
        for name in ("symbol", "rule")
    )
    last = "correct or remove them, or raise the share."
    then = f"{advice} Else {last}" if advice else last.capitalize()
    return (
        f"at most {limit:.1%} of {of} may be quarantined ({setting}), but {len(quarantined):,} of {count:,} are "
        f"({len(quarantined) / count:.1%}): {reasons}; worst {symbols}: {worst}. {then}"
    )
