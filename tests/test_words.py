"""Facts are columns, enums and numbers: no code reads a sentence, and no record is a bare dictionary."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "bq"
SENTENCES = {"reason", "reasons", "headline", "statement", "needed", "why", "notice", "warning", "remark", "verdict"}
OF_TEXT = {
    "startswith",
    "endswith",
    "split",
    "rsplit",
    "partition",
    "rpartition",
    "find",
    "removeprefix",
    "removesuffix",
}
OF_PATTERNS = {"search", "match", "fullmatch", "split", "findall", "finditer", "sub"}  # of `re`, the text an argument
OF_COLUMNS = {"contains", "starts_with", "ends_with", "extract", "extract_all", "find", "split", "strip_prefix"}
COMPONENTS = {(name, "name") for name in ("c", "part", "component")}
RECORDS = {"info", "bundle", "card", "pointer", "record"}


def called(node: ast.AST) -> str:
    """What an expression is called: its name, attribute, text key, or column."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    if (
        isinstance(node, ast.Call)
        and called(node.func) == "col"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    ):
        return str(node.args[0].value)
    return ""


def chain(node: ast.AST) -> Iterator[str]:
    """What the expressions are called on which a method of a column is called, from the outside in."""
    while True:
        yield called(node)
        if isinstance(node, ast.Attribute):
            node = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            node = node.func.value
        else:
            return


def reads_a_sentence(node: ast.AST) -> bool:
    """Whether code looks into a sentence, or for a phrase in what is no list of phrases."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        method, on = node.func.attr, node.func.value
        given = {called(argument) for argument in node.args}
        return (
            (method in OF_TEXT and called(on) in SENTENCES and bool(node.args))  # `split()` only takes out spaces
            or (method in OF_PATTERNS and bool(given & SENTENCES))
            or (method in OF_COLUMNS and called(on) == "str" and not SENTENCES.isdisjoint(chain(on)))
        )
    if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
        what, where = node.left, node.comparators[0]
        phrase = isinstance(what, ast.Constant) and isinstance(what.value, str) and " " in what.value
        of_component = (
            isinstance(where, ast.Attribute) and where.attr == "name" and called(where.value) in ("c", "part")
        )
        return called(where) in SENTENCES or (phrase and isinstance(where, ast.Subscript)) or of_component
    return False


def is_a_bare_record(node: ast.AST) -> bool:
    """Whether a record's field is read by a text key."""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        return called(node.value) in RECORDS
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "get"
        and called(node.func.value) in RECORDS
    )


CAUGHT = {
    "a prefix": "row['reason'].startswith(ROLLBACK)",
    "a phrase in a cell": "found = 'rule score' in row[2]",
    "a name in a list": "any(name in c.name for name in IMPROVEMENT)",
    "a run in a reason": "info.run_id in row['reason']",
    "a column": "answer['reason'].str.contains(OUTSIDE, literal=True)",
    "a part of a column": "pl.col('reason').str.extract('x').fill_null('')",
    "clauses": "CLAUSE.split(reason)",
}


@pytest.mark.parametrize("code", CAUGHT.values(), ids=CAUGHT)
def test_reading_a_sentence_is_seen(code):
    assert any(map(reads_a_sentence, ast.walk(ast.parse(code))))


@pytest.mark.parametrize("code", ["run.info['status']", "model.bundle['classes']", "card.get('run_id', '')"])
def test_a_bare_record_is_seen(code):
    assert any(map(is_a_bare_record, ast.walk(ast.parse(code))))


@pytest.mark.parametrize("fault", [reads_a_sentence, is_a_bare_record])
def test_no_code_reads_a_sentence_and_no_record_is_bare(fault):
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}: {ast.unparse(node)}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if fault(node)
    ]
    assert found == []
