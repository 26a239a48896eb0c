"""What the documents say of parameters and exit codes is what they are."""

import re
from pathlib import Path

import pytest

import bq

DOCS = Path(__file__).parents[2] / "docs"
STRATEGIES = ("butterfly", "forecast", "breakout")


def gate_table() -> list[tuple[str, list[str]]]:
    """Parameter and its value for each strategy, of every row of the gate table."""
    table = (DOCS / "figures.md").read_text().split("## What a model must show")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:3] == "| `"]
    return [(row[0].strip("`"), row[2:]) for row in rows]


@pytest.mark.parametrize(("name", "values"), gate_table(), ids=lambda value: value if isinstance(value, str) else "")
def test_the_gate_table_states_what_the_parameter_files_hold(name, values):
    section, field = name.split(".")
    for strategy, said in zip(STRATEGIES, values, strict=True):
        found = getattr(getattr(bq.params(strategy), section, None), field, None)
        assert said == ("–" if found is None else str(found)), strategy


def test_the_gate_table_has_every_threshold_of_the_parameters():
    told = {name for name, _ in gate_table()}
    gate = bq.params("butterfly").gate.model_dump()
    beside = {"gate.draws"}  # how the figures are made, no threshold
    assert {f"gate.{name}" for name in gate} - beside <= told
    production = bq.params("forecast").production.model_dump()
    assert {f"production.{name}" for name in production} - {"production.rolling_sessions"} <= told


def test_every_exit_code_of_the_program_is_told():
    from bq.core import errors
    from bq.jobs import drift, status

    table = (DOCS / "schedule.md").read_text().split("## Exit codes")[1].split("\n## ")[0]
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.M)}
    classes = [found for found in vars(errors).values() if isinstance(found, type) and hasattr(found, "exit_code")]
    assert told == {found.exit_code for found in classes} | {0, drift.ALARM, status.OVERDUE, 130}
