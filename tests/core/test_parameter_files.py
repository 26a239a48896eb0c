import datetime as dt
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bq import strategies
from bq.core import faults, parameter_text, params, paths
from bq.core.errors import BadParameters, TemporalOverlap, did_you_mean
from bq.core.section import Section
from bq.core.settings import Learning, Market, Settings
from tests import write_parameters

SHIPPED = sorted((paths.CHECKOUT / "parameters").rglob("*.yaml"))
shipped = pytest.mark.parametrize("path", SHIPPED, ids=lambda p: str(p.relative_to(paths.CHECKOUT / "parameters")))


class Inner(Section):
    name: str = "text"
    share: float = 0.5
    count: int = 1
    day: dt.date | None = None
    names: list[str] = []
    by_name: dict[str, str] = {}
    perhaps: str | None = None


class Outer(Section):
    inner: Inner = Inner()
    perhaps: Inner | None = None
    kind: Literal["a", "b"] = "a"


class Dated(Settings):
    """A parameter file whose labels last ten days."""

    strategy: str = "dated"
    market: Market = Market()
    learning: Learning = Learning(features="f", model="m")

    @property
    def max_holding_days(self) -> int:
        return 10


@pytest.fixture
def load(tmp_path):
    """Load `text` (or bytes) as a parameter file of `model`."""

    def loading(text, *, model=Outer, overrides=""):
        path = tmp_path / "file.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return params.load(path, model, overrides=overrides)

    return loading


def refused(load, text, **options) -> str:
    with pytest.raises(BadParameters) as caught:
        load(text, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("NO", "NO"), ("yes", "yes"), ("16:00", "16:00"), ("'010'", "010"), ("24/7", "24/7"), ("~x", "~x")],
    ids=str,
)
def test_text_stays_text(load, text, expected):
    assert load(f"inner: {{name: {text}}}").inner.name == expected


@pytest.mark.parametrize(
    "text", ["000001", "1E5", "TRUE", "false", "0x1F", ".5", "1_000", "2020-01-31", ".inf", "BRK B"]
)
def test_where_a_parameter_is_text_a_plain_value_is_as_it_is_written(load, text):
    expected = {"name": text, "names": [text, "b"], "by_name": {text: text}, "perhaps": text}
    written = f"{{name: {text}, names: [{text}, b], by_name: {{{text}: {text}}}, perhaps: {text}}}"
    overrides = f"inner.name={text} inner.names=[{text},b] inner.by_name={{{text}: {text}}} inner.perhaps={text}"
    for loaded in (load(f"inner: {written}"), load("kind: a", overrides=overrides)):
        assert {name: getattr(loaded.inner, name) for name in expected} == expected


def test_nothing_is_no_text_where_there_may_be_nothing(load):
    inner = load("inner: {perhaps: null, names: [null, NULL, ~]}").inner
    assert inner.perhaps is None and inner.names == ["null", "NULL", "~"]


def test_a_blank_inside_a_value_parts_no_overrides(load):
    inner = load("kind: a", overrides=" inner.names=[BRK B, a b]\n  inner.count=7  inner.by_name={close: PRC} ").inner
    assert (inner.names, inner.count, inner.by_name) == (["BRK B", "a b"], 7, {"close": "PRC"})


@pytest.mark.parametrize(("text", "expected"), [("1e-3", 0.001), ("1E3", 1000.0), ("1", 1.0), ("-.5", -0.5)], ids=str)
def test_numbers_in_any_notation_are_numbers(load, text, expected):
    assert load(f"inner: {{share: {text}}}").inner.share == expected


def test_a_leading_zero_is_not_octal(load):
    assert load("inner: {count: 010}").inner.count == 10


def test_a_byte_order_mark_is_skipped(load):
    assert load(b"\xef\xbb\xbfkind: b\n").kind == "b"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: a\nkind: b\n", 'duplicate key "kind"'),
        ("inner:\n\tname: x\n", "'\\t'"),
        ("kind: [a", "expected"),
        ("- a\n- b\n", "must hold named sections"),
        ("just words", "'just words' (text)"),
        ("", "holds nothing"),
        ("a: 1\n---\nb: 2\n", "document"),
        ("%YAML 1.1\n---\nkind: NO\n", "declares another version"),
        ("kind: !!python/object/apply:os.system [id]", "constructor"),
        ("kind: !!int ''", "could not be read"),
        ("kind: !!bool x", "could not be read"),
        ("[" * 1100, "nested too deeply"),
        (b"\x00\x01\x02", "must be YAML 1.2"),
        (b"\xff\xfe\x00k", "must be UTF-8"),
        ("1: 2", "name that is text"),
    ],
    ids=[
        "duplicate",
        "tab",
        "unclosed",
        "list",
        "scalar",
        "empty",
        "two-documents",
        "yaml-1.1",
        "python-tag",
        "empty-int",
        "wrong-bool",
        "deep",
        "binary",
        "not-utf8",
        "number-as-name",
    ],
)
def test_a_file_that_is_no_set_of_sections_is_refused_with_its_name(load, text, says):
    message = refused(load, text)
    assert "file.yaml" in message and says in message


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BadParameters, match="must exist"):
        params.load(tmp_path / "none.yaml", Outer)


def test_an_unreadable_file_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "file.yaml"
    path.write_text("kind: a")

    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", denied)
    with pytest.raises(BadParameters, match="must be readable, but Permission denied"):
        params.load(path, Outer)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("inner: {nmae: x}", "`inner.nmae` is not a parameter; did you mean `inner.name`?"),
        ("nmae: x", "`nmae` is not a parameter; did you mean `inner.name`?"),
        ("perhaps: {nmae: x}", "`perhaps.nmae` is not a parameter; did you mean `perhaps.name`?"),
        ("zzz: x", "`zzz` is not a parameter; known: inner, kind, perhaps"),
        ("inner: {count: 1.0}", "`inner.count` must be a whole number, but got 1.0 (number)."),
        ("inner: {count: true}", "`inner.count` must be a whole number, but got True (true/false)."),
        ("inner: {count: '1'}", "`inner.count` must be a whole number, but got '1' (text)."),
        ("inner: {share: false}", "`inner.share` must be a number"),
        ("inner: {share: .nan}", "`inner.share` must be a finite number"),
        ("inner: {share: -.inf}", "`inner.share` must be a finite number"),
        ("inner: {name: [1]}", "`inner.name` must be text (quote it), but got [1] (list)."),
        ("inner: {name: }", "`inner.name` must be text (quote it), but got nothing."),
        ("inner: {day: '2010-01-01'}", "`inner.day` must be a date (2010-01-31)"),
        ("inner: {day: 2010-01-01T00:00:00}", "`inner.day` must be a date (2010-01-31)"),
        ("inner: {names: a}", "`inner.names` must be a list ([a, b])"),
        ("inner: {names: [a, [1]]}", "`inner.names.1` must be text"),
        ("inner: 3", "`inner` must be a section, but got 3 (whole number)."),
        ("kind: c", "`kind` must be 'a' or 'b', but got 'c' (text)."),
    ],
    ids=lambda value: value if "{" in value or ":" in value else "",
)
def test_a_wrong_value_is_refused_with_its_name_and_what_came(load, text, says):
    assert says in refused(load, text)


def test_a_required_parameter_that_is_absent_is_named(load):
    assert "`learning` must be given" in refused(load, "market: {}", model=Settings)


def test_the_nearest_name_is_suggested():
    assert did_you_mean("folsd", ["folds", "seed"]) == "did you mean `folds`?"
    assert "learning.folds" in refused_of_shipped("folsd=3")
    assert "did you mean `learning.folds`?" in refused_of_shipped("learning.folsd=3")


def refused_of_shipped(overrides: str) -> str:
    with pytest.raises(BadParameters) as caught:
        params.load(paths.parameters("butterfly"), strategies.get("butterfly").settings, overrides=overrides)
    return str(caught.value)


def test_overrides_win_over_the_file_and_keep_their_types(load):
    given_ = "inner.name=NO inner.share=1e-3 inner.count=7 inner.day=2010-01-31 inner.names=[a,b] kind=b"
    loaded = load("inner: {name: x, count: 2}", overrides=given_)
    assert loaded.inner.model_dump(exclude={"by_name", "perhaps"}) == {
        "name": "NO",
        "share": 0.001,
        "count": 7,
        "day": dt.date(2010, 1, 31),
        "names": ["a", "b"],
    }
    assert loaded.kind == "b"


def test_an_override_makes_the_section_it_names(load):
    assert load("kind: a", overrides="perhaps.count=3").perhaps.count == 3


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ("inner.nmae=x", "SET: `inner.nmae` is not a parameter; did you mean `inner.name`?"),
        ("inner.count=x", "SET: `inner.count` must be a whole number"),
        ("inner.count=", "SET: `inner.count` must be a whole number, but got nothing"),
        ("inner.names=[a,[1]]", "SET: `inner.names.1` must be text"),
        ("inner.names=[a", "SET inner.names: must be YAML 1.2"),
        ("kind.deeper=1", "`kind.deeper` must lie in a section, but `kind` is a value"),
        ("inner.count", "must read"),
        ("=1", "must read"),
        ("inner..count=1", "must read"),
        ("inner.count =1", "must read"),
        ("x=1\nopen('pwned','w')", "SET: `x` is not a parameter"),
        ("inner.count=1\nopen('pwned','w')", "SET: `inner.count` must be a whole number, but got \"1 open('pwned"),
        ("open('pwned','w')=1", "must read"),
        ("__class__=1", "`__class__` is not a parameter"),
    ],
    ids=ascii,
)
def test_a_wrong_override_is_refused_and_named_as_one(load, tmp_path, monkeypatch, overrides, says):
    monkeypatch.chdir(tmp_path)
    assert says in refused(load, "kind: a", overrides=overrides)
    assert [path.name for path in tmp_path.iterdir()] == ["file.yaml"]


@given(st.text() | st.text(alphabet="ab:{}[]!&*<>|%-?'\"#, \n\t01.=~_", max_size=60) | st.binary(max_size=40))
@example("a: &a [*a]")
@example("? {a: b}\n: c")
@example("a: " + "9" * 5000)
@example("<<: 1")
def test_no_text_raises_anything_but_bad_parameters(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "random.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    try:
        params.load(path, Outer)
    except BadParameters as error:
        assert str(error)


@given(st.text(max_size=60))
def test_no_override_raises_anything_but_bad_parameters(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "plain.yaml"
    path.write_text("kind: a\n")
    try:
        params.load(path, Outer, overrides=text)
    except BadParameters as error:
        assert str(error)


def strategy_of(path):
    """parameters/simulated/butterfly_strata.yaml is of the strategy butterfly."""
    return path.stem.partition("_")[0]


@shipped
def test_every_shipped_file_is_valid(path):
    strategy = strategies.get(strategy_of(path))
    settings = params.load(path, strategy.settings)
    assert settings.strategy == strategy.name
    assert strategy.features(settings).columns


@pytest.mark.parametrize("strategy", sorted(strategies.MODULES))
def test_the_file_of_a_strategy_is_what_its_classes_say(strategy):
    """Every name, its default and its description; `python -m tests.write_parameters` writes it anew."""
    assert paths.parameters(strategy).read_text() == write_parameters.text(strategy)


@pytest.mark.parametrize("strategy", sorted(strategies.MODULES))
def test_a_file_that_says_nothing_is_the_file_of_its_strategy(load, strategy):
    model = strategies.get(strategy).settings
    assert load(f"strategy: {strategy}", model=model) == params.load(paths.parameters(strategy), model)


@pytest.mark.parametrize("strategy", sorted(strategies.MODULES))
def test_every_parameter_has_a_description(strategy):
    model = strategies.get(strategy).settings
    said = {name: parameter_text.description(model, name.split(".")) for name in faults.names(model)}
    assert [name for name, text in said.items() if not text] == []
    assert [name for name in model.comments if name not in said] == []


def test_stating_a_default_changes_nothing(load):
    assert load("inner: {name: text, share: 0.5}\nkind: a") == load("kind: a")


@shipped
def test_settings_survive_being_written_and_read(path, tmp_path):
    model = strategies.get(strategy_of(path)).settings
    settings = params.load(path, model)
    copy = tmp_path / "copy.yaml"
    copy.write_text(params.to_yaml(settings.model_dump()))
    assert params.load(copy, model) == settings


TRICKY = [
    "NO",
    "null",
    "~",
    "010",
    "0o17",
    "1e-3",
    "1_000",
    "16:00",
    "2010-01-01",
    "",
    " x",
    "a: b",
    "#",
    ".inf",
    "é\n\t'\"",
]


@given(
    name=st.sampled_from(TRICKY) | st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
    share=st.floats(allow_nan=False, allow_infinity=False),
    count=st.integers(-(2**63), 2**63),
    day=st.none() | st.dates(),
    names=st.lists(st.sampled_from(TRICKY), max_size=4),
)
@hypothesis_settings(max_examples=60)
def test_any_value_survives_being_written_and_read(tmp_path_factory, **values):
    path = tmp_path_factory.getbasetemp() / "written.yaml"
    settings = Outer(inner=Inner(**values))
    path.write_bytes(params.to_yaml(settings.model_dump()).encode())
    assert params.load(path, Outer) == settings


@pytest.mark.parametrize("gap", [0, 3, 9], ids="gap-{}".format)
def test_overlapping_labels_are_refused_with_the_overlap_and_the_gap_that_holds(load, gap):
    with pytest.raises(TemporalOverlap) as caught:
        load(_with_gap(gap), model=Dated)
    assert f"overlap the test block by {10 - gap} days" in str(caught.value)
    assert "Set gap_days: 10 or more" in str(caught.value)


def test_a_gap_of_the_longest_label_holds(load):
    assert load(_with_gap(10), model=Dated).learning.gap_days == 10
    assert load(_with_gap("null"), model=Dated).learning.gap_days is None


def _with_gap(gap: object) -> str:
    return f"strategy: dated\nlearning: {{features: f, model: m, gap_days: {gap}}}\n"
