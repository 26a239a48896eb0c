"""What cannot be made again goes into one file and comes back as it was; a lost database is said."""

import io
import os
import shutil
import tarfile

import numpy as np
import pytest

from bq import runs, strategies
from bq.core import db, files, params, paths
from bq.core.errors import BadData, BadParameters, BQError
from bq.core.namespace import Namespace
from bq.jobs import backup, history, housekeeping, missing, request, status
from bq.serving import ready, registry

MADE_BY_0_1 = paths.CHECKOUT / "tests" / "made_by_0_1"
NAMESPACE = Namespace.parse("butterfly-simulated")
CHAMPION, BEFORE = "429ca1fa915f992b", "83913860c8be18e9"


@pytest.fixture
def home(tmp_path, monkeypatch):
    copy = shutil.copytree(MADE_BY_0_1, tmp_path / "home")
    for name in ("BQ_DATABASE_URL", "STRATEGY", "SET", "RUN", "A", "B", "FORCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BQ_HOME", str(copy))
    monkeypatch.setenv("PARAMS", str(copy / "parameters.yaml"))
    monkeypatch.setenv("ARCHIVE", str(tmp_path / "archive.tar.gz"))
    yield copy
    db.close()


def elsewhere(tmp_path, monkeypatch):
    """Another home, empty."""
    monkeypatch.setenv("BQ_HOME", str(tmp_path / "other"))
    return tmp_path / "other"


def answers() -> list[float]:
    """What the champion says to rows of noise."""
    model = ready.ready(registry.champion(NAMESPACE), strategies.get("butterfly"), NAMESPACE)
    x = np.random.default_rng(0).standard_normal((50, len(model.bundle.columns))).astype(np.float32)
    return model.session.predict(x, np.zeros(50, np.int64), np.ones(50, np.float32)).expected.tolist()


def test_what_was_backed_up_decides_and_is_remembered_as_before(home, tmp_path, monkeypatch, capsys, caplog):
    monkeypatch.setattr("bq.core.log.LINE_SECONDS", 0.0)
    caplog.set_level("INFO", logger="bq")
    before, told, table = answers(), history.entries(), runs.table()
    figures = {run.folder.name: run.frame("oos") for run in runs.every(job="retrain")}
    backup.backup(request.read())
    elsewhere(tmp_path, monkeypatch)
    backup.restore(request.read())
    assert answers() == before and history.entries() == told and runs.table().equals(table)
    assert {run.folder.name: run.frame("oos") for run in runs.every(job="retrain")}.keys() == figures.keys()
    assert all(run.frame("oos").equals(figures[run.folder.name]) for run in runs.every(job="retrain"))
    capsys.readouterr()
    housekeeping.verify(request.read())
    said = capsys.readouterr().out
    assert "4 models, 2 pointers, 0 event tables, 4 runs: all intact" in said and "missing" not in said
    for named in ("backup: 1 of", "restore: ", "verify: 1 of 11"):
        assert any(line.startswith(named) and line.endswith(" left") for line in caplog.messages), named
    assert registry.rollback(NAMESPACE) == BEFORE


def test_the_archive_holds_no_pages_and_no_secrets(home, monkeypatch):
    monkeypatch.setenv("BROKER_PASSWORD", "canary-5hx91")
    run = next((home / "outputs").glob("2*"))
    for name in ("report.html", "01_x.ipynb"):
        (run / name).write_text("page canary-5hx91")
    (home / "parameters").mkdir()
    (home / "parameters" / "mine.yaml").write_text("# canary-5hx91\nname: mine\n")
    (home / ".env").write_text("canary-5hx91")
    backup.backup(request.read())
    with tarfile.open(os.environ["ARCHIVE"]) as archive:
        contents = {member.name: archive.extractfile(member).read() for member in archive}
    assert "parameters/mine.yaml" in contents and "data/bq.db" in contents
    assert not [name for name in contents if name.endswith((".html", ".ipynb", ".env"))]
    assert not [name for name, content in contents.items() if b"canary-5hx91" in content]


def test_a_home_with_models_is_not_overwritten_unless_forced_and_then_kept_beside(home, monkeypatch):
    backup.backup(request.read())
    registry.rollback(NAMESPACE)
    with pytest.raises(BadParameters, match=r"must hold no models and no runs.*FORCE=1"):
        backup.restore(request.read())
    assert registry.pointer(NAMESPACE).model_id == BEFORE
    monkeypatch.setenv("FORCE", "1")
    backup.restore(request.read())
    assert registry.pointer(NAMESPACE).model_id == CHAMPION
    (beside,) = home.glob("before_restore_*")
    kept = files.read_json(beside / "models" / str(NAMESPACE) / "champion.json")
    assert kept["model_id"] == BEFORE and (beside / "data" / "bq.db").is_file()
    assert {path.name for path in beside.glob("outputs/2*")} == {run.folder.name for run in runs.every()}


def test_a_restore_that_fails_half_way_leaves_the_home_as_it_was(home, monkeypatch):
    backup.backup(request.read())
    registry.rollback(NAMESPACE)
    monkeypatch.setenv("FORCE", "1")
    rename, count = type(home).rename, [0]

    def fail(self, target):
        count[0] += 1
        if count[0] == 7:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    before = {path.relative_to(home) for path in home.rglob("*") if "before_restore" not in str(path)}
    with monkeypatch.context() as patch:
        patch.setattr(type(home), "rename", fail)
        with pytest.raises(OSError, match="No space left"):
            backup.restore(request.read())
    after = {path.relative_to(home) for path in home.rglob("*") if "before_restore" not in str(path)}
    assert after == before | (after - before) and not [path for path in after - before if path.suffix != ".lock"]
    assert registry.pointer(NAMESPACE).model_id == BEFORE


def member(name: str, content: bytes = b"x", **changes) -> tuple[tarfile.TarInfo, bytes]:
    made = tarfile.TarInfo(name)
    made.size = len(content)
    for key, value in changes.items():
        setattr(made, key, value)
    return made, content


BAD = {
    "absolute": member("/etc/cron.d/x"),
    "upwards": member("models/../../x"),
    "a-link": member("models/x", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a-hard-link": member("models/x", b"", type=tarfile.LNKTYPE, linkname="data/bq.db"),
    "a-pipe": member("models/x", b"", type=tarfile.FIFOTYPE),
    "code": member("bq/__init__.py"),
    "a-lock": member("data/other.db"),
    "twice": member("data/bq.db"),
    "not-in-the-manifest": member("models/toy/champion.json"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_member_that_no_backup_holds_is_refused_and_nothing_is_changed(home, tmp_path, monkeypatch, bad):
    backup.backup(request.read())
    path = tmp_path / "archive.tar.gz"
    with tarfile.open(path) as archive:
        members = [(one, archive.extractfile(one).read()) for one in archive]
    with tarfile.open(path, "w:gz") as archive:
        for one, content in [*members, bad]:
            archive.addfile(one, io.BytesIO(content))
    other = elsewhere(tmp_path, monkeypatch)
    with pytest.raises(BadData, match=r"must be an archive that `make backup` wrote, but .*Nothing was changed\."):
        backup.restore(request.read())
    assert not list(other.iterdir())


@pytest.mark.parametrize("damage", ["cut", "flipped", "changed", "no-archive", "pipe"])
def test_a_damaged_archive_is_refused(home, tmp_path, monkeypatch, damage):
    path = tmp_path / "archive.tar.gz"
    backup.backup(request.read())
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        path.write_bytes(content[: len(content) // 2] + b"\0\0\0\0" + content[len(content) // 2 + 4 :])
    elif damage == "no-archive":
        path.write_bytes(b"x" * 1000)
    elif damage == "pipe":
        path.unlink()
        os.mkfifo(path)
    else:
        with tarfile.open(path) as archive:
            members = [(one, archive.extractfile(one).read()) for one in archive]
        with tarfile.open(path, "w:gz") as archive:
            for one, old in members:
                new = old[:-1] + b"?" if one.name.endswith("oos.parquet") else old
                archive.addfile(one, io.BytesIO(new))
    other = elsewhere(tmp_path, monkeypatch)
    with pytest.raises(BadParameters if damage == "pipe" else (BadData, OSError)):
        backup.restore(request.read())
    assert not list(other.rglob("*"))


def test_an_archive_must_be_named(home, monkeypatch):
    monkeypatch.delenv("ARCHIVE")
    for work in (backup.backup, backup.restore):
        with pytest.raises(BadParameters, match="ARCHIVE must name a file"):
            work(request.read())


def test_a_database_in_postgresql_is_left_to_its_own_tools_and_said(home, monkeypatch, capsys):
    monkeypatch.setenv("BQ_DATABASE_URL", "postgresql+psycopg://u:p@localhost/x")
    backup.backup(request.read())
    assert "use" not in (said := capsys.readouterr().out) and "`pg_dump`" in said
    with tarfile.open(os.environ["ARCHIVE"]) as archive:
        assert "data/bq.db" not in archive.getnames()


def test_a_lost_database_is_said_and_a_rollback_goes_by_the_pointer(home, monkeypatch, capsys):
    for file in (home / "data").glob("bq.db*"):
        file.unlink()
    for work in (status.main, housekeeping.verify):
        work(request.read())
        said = capsys.readouterr().out
        told = (
            f"missing     {NAMESPACE}: the database has no deployment of {CHAMPION}; a rollback goes by champion.json"
        )
        assert f"{told}, to {BEFORE}." in said
        assert "the database has no attempts of 3 runs (the newest is 20261129T053209Z_butterfly-simulated)" in said
        assert "the database has no looks of 3 runs" in said
    assert registry.rollback(NAMESPACE) == BEFORE
    assert registry.rollback(NAMESPACE) == registry.NONE, "never back to what was rolled back"


def test_a_damaged_database_is_said_and_a_rollback_needs_none(home, capsys, caplog):
    (home / "data" / "bq.db").write_bytes(b"SQLite format 3\0" + b"damaged" * 1000)
    status.main(request.read())
    assert "missing     BQ_DATABASE_URL: the database" in capsys.readouterr().out
    housekeeping.rollback(request.read())
    assert registry.pointer(NAMESPACE).model_id == BEFORE
    assert "the rollback is not in the journal" in caplog.text
    with pytest.raises(BQError, match="must be reachable"):
        registry.deploy(NAMESPACE, registry.champion(NAMESPACE), reason="a deployment needs its journal")


def test_a_pointer_that_is_gone_is_missed(home):
    (home / "models" / str(NAMESPACE) / "champion.json").unlink()
    (said,) = missing.told(runs.every())
    assert said.startswith(f"{NAMESPACE}: champion.json, but the database says that {CHAMPION} was deployed")


def test_parameters_that_differ_are_put_beside(home, tmp_path, monkeypatch):
    (home / "parameters").mkdir()
    (home / "parameters" / "mine.yaml").write_text("name: mine\n")
    backup.backup(request.read())
    other = elsewhere(tmp_path, monkeypatch)
    (other / "parameters").mkdir(parents=True)
    (other / "parameters" / "mine.yaml").write_text("name: another\n")
    backup.restore(request.read())
    assert (other / "parameters" / "mine.yaml").read_text() == "name: another\n"
    assert (other / "parameters" / "mine.yaml.restored").read_text() == "name: mine\n"
    assert params.load(paths.parameters("butterfly"), strategies.get("butterfly").settings)
