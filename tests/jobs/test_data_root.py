"""Bars and events on S3 (moto's server): the same model and figures as from folders, and no secret anywhere."""

import os
import re
import urllib.request

import fsspec
import pytest

from bq import market, runs
from bq.core import db, objects, params, partitions, paths
from bq.core.errors import BadData, BQError
from bq.core.objects import Place
from bq.core.settings import Market
from bq.jobs import backup, collect, housekeeping, request, retrain, status, upload
from bq.jobs.run.protocol import Run
from bq.serving import candidate
from bq.strategies import event_set, store
from bq.strategies.events import Built
from bq.strategies.forecast import STRATEGY
from tests import remote

FILE = paths.CHECKOUT / "parameters" / "simulated" / "forecast.yaml"
SMALL = (
    "market.simulation.symbols=12 market.simulation.sessions=900 market.simulation.oracle_ic=0.3 "
    "events.every_sessions=10 learning.folds=2 learning.test_days=150 learning.compare=[] "
    "learning.model=lightgbm gate.draws=1000"
)
URL = "s3://bucket/team"


def notebook(self: Run, name: str) -> None:
    """Training in this process, without a notebook around it."""
    if name == retrain.NOTEBOOKS[1]:
        built = Built(store.received(self.folder, "events"), store.received(self.folder, "refused"))
        made = store.finished(STRATEGY, self.settings, store.market_data(self.settings), built, 0)
        candidate.train(made.events, STRATEGY, self.settings, self.folder)


@pytest.fixture(scope="module")
def patch():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "notebook", notebook)
        patch.setattr(Run, "render", lambda self: None)
        patch.setattr(partitions, "SYMBOLS", 2)
        for name in ("SET", "FORCE", "RUN", "QUICK", "SYMBOLS", "FROM", "TO", "BQ_DATABASE_URL", "BQ_DATA_ROOT"):
            patch.delenv(name, raising=False)
        patch.setenv("STRATEGY", "forecast")
        yield patch
    db.close()


@pytest.fixture(scope="module")
def here(patch, tmp_path_factory):
    """A home with files of bars, and the retrain on them."""
    home = tmp_path_factory.mktemp("here")
    settings = params.load(FILE, STRATEGY.settings, overrides=SMALL)
    folder = home / "data" / "raw" / "bars"
    folder.mkdir(parents=True)
    for (symbol,), rows in market.load(settings.market).bars.group_by("symbol"):
        rows.select("session", "open", "high", "low", "close", "volume").write_csv(folder / f"{symbol}.csv")
    content = settings.model_dump(mode="python")
    content["market"] |= {"source": "files", "simulation": None}
    (home / "own.yaml").write_text(params.to_yaml(content))
    patch.setenv("PARAMS", str(home / "own.yaml"))
    patch.setenv("BQ_HOME", str(home))
    retrain.main(request.read())
    return home


@pytest.fixture(scope="module")
def s3():
    with remote.bucket() as requests:
        yield requests


@pytest.fixture(scope="module")
def there(patch, here, s3, tmp_path_factory):
    """A home without any bars: they were brought to S3 from the other one, and the retrain on them."""
    patch.setenv("BQ_DATA_ROOT", URL)
    upload.main(request.read())
    home = tmp_path_factory.mktemp("there")
    patch.setenv("BQ_HOME", str(home))
    retrain.main(request.read())
    return home


@pytest.fixture
def at(there, monkeypatch):
    """The variables of the home without bars, for one test."""
    monkeypatch.setenv("BQ_HOME", str(there))
    monkeypatch.setenv("BQ_DATA_ROOT", URL)
    return there


def test_a_retrain_on_s3_gives_the_model_the_events_and_every_figure_of_one_on_folders(here, at, monkeypatch):
    far, model = runs.latest().record, candidate.load(runs.latest().folder).artefact
    monkeypatch.setenv("BQ_HOME", str(here))
    near, same = runs.latest().record, candidate.load(runs.latest().folder).artefact
    assert model.model_id == same.model_id and model.bundle.events_hash == same.bundle.events_hash
    assert (far.data_hash, far.tables, far.headline) == (near.data_hash, near.tables, near.headline)
    assert len(far.tables) > 5
    assert not (at / "data" / "events").exists() and list((here / "data" / "events").glob("*/*/events.parquet"))


def test_another_machine_finds_the_events_and_computes_none(at, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("BQ_HOME", str(tmp_path))
    collect.main(request.read())
    assert re.search(r"built now   0; \d{3} stored ones are still valid", capsys.readouterr().out)
    db.close()


def test_what_is_not_asked_for_is_not_fetched(at, s3):
    place = Place(URL) / "raw" / "bars"
    held = partitions.held(place, partitions.pointer(place))
    buckets, every = held.pointer.buckets, len(held.pointer.objects)
    s3.clear()
    data = market.load(Market(source="files", symbols=["SIM03"]))
    bucket = partitions.bucket_of("SIM03", buckets)
    rows = [path for path in s3.got() if "/rows/" in path]
    assert data.bars["symbol"].unique().to_list() == ["SIM03"] and buckets == 7
    assert len(rows) == 4 and all(f"/bucket={bucket}/" in path.replace("%3D", "=") for path in rows)
    assert len(s3.got()) < every / 3
    assert data.counts["not_asked"].sum() == 12 * 900, "they are counted all the same"


def test_verify_and_status_know_what_is_there(at, capsys):
    housekeeping.verify(request.read())
    assert re.search(r"1 run, 2 remote table sets: all intact", capsys.readouterr().out)
    status.main(request.read())
    told = capsys.readouterr().out
    assert re.search(rf"events      {URL}/events/forecast/\S+ \(of these parameters\): 780 events, bars to 2013", told)


def test_verify_names_the_object_that_is_damaged_and_the_next_run_heals_it(at, capsys):
    (place,) = event_set.below_root()
    held = partitions.held(place, partitions.pointer(place))
    name = next(name for name in held.pointer.objects if name.startswith("events/"))
    (place / held.pointer.prefix / name).write(b"other")
    with pytest.raises(BadData, match=rf"{name}: must have the hash in current.json.*the next run builds"):
        housekeeping.verify(request.read())
    collect.main(request.read())
    assert "built now   780; 0 stored" in capsys.readouterr().out
    housekeeping.verify(request.read())


def test_a_backup_says_what_is_not_in_it(at, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("ARCHIVE", str(tmp_path / "a.tar.gz"))
    backup.backup(request.read())
    assert f"missing     bars and events below {URL}" in capsys.readouterr().out


def test_no_secret_of_the_storage_is_in_any_file_object_or_message(at, s3):
    content = [path.read_bytes() for path in at.rglob("*") if path.is_file()]
    system = fsspec.filesystem("s3")
    content += [system.cat_file(path) for path in system.find("bucket")]
    assert len(content) > 30
    for secret in (remote.ACCESS["AWS_SECRET_ACCESS_KEY"], remote.ACCESS["AWS_ACCESS_KEY_ID"]):
        assert not any(secret.encode() in one for one in content)


def test_kill_9_of_a_machine_that_uploads_leaves_the_bars_of_before(at):
    place = Place(URL) / "raw" / "bars"
    before, pointed = market.load(Market(source="files")).data_hash, partitions.pointer(place)
    assert remote.killed_before_the_pointer(place)
    assert len(place.folders()) == 2 and partitions.pointer(place) == pointed
    assert market.load(Market(source="files")).data_hash == before


def refusal(url: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BQ_DATA_ROOT", url)
        with pytest.raises(BQError) as caught:
            market.load(Market(source="files"))
        told = str(caught.value)
    assert "\n" not in told and not any(secret in told for secret in remote.ACCESS.values() if len(secret) > 10)
    return told


def test_a_bucket_that_is_not_there_is_said(at):
    assert refusal("s3://buckett/team") == (
        "s3://buckett/team: the bucket of BQ_DATA_ROOT must exist, but does not. Create it, or correct the name."
    )
    assert "needs bars below s3://bucket/nobody/raw/bars, but there are none" in refusal("s3://bucket/nobody")


@pytest.fixture
def stranger(at):
    """The storage takes no credentials of this environment."""

    def answers_after(requests: str) -> None:
        url = f"{os.environ['AWS_ENDPOINT_URL']}/moto-api/reset-auth"
        plain = {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(url, requests.encode(), plain, method="POST"))

    answers_after("0")
    yield
    answers_after("inf")


def test_credentials_that_the_storage_does_not_take_are_said_and_the_rest_of_status_stands(stranger, capsys):
    assert re.search(r"must be allowed to be read, but the storage refuses it .*Nothing is half-written", refusal(URL))
    with pytest.raises(BadData, match="must be allowed to be listed"):
        housekeeping.verify(request.read())
    status.main(request.read())
    told = capsys.readouterr().out
    assert re.search(r"events      s3://\S+ must be allowed to be listed", told) and "run         2" in told


def test_a_server_that_cannot_be_reached_is_said(at, monkeypatch):
    system = fsspec.get_filesystem_class("s3")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(system, "retries", 1)
    system.clear_instance_cache()
    objects._system.cache_clear()
    try:
        told = refusal(URL)
    finally:
        monkeypatch.undo()
        system.clear_instance_cache()
        objects._system.cache_clear()
    assert re.search(r"could not be read: Could not connect.*Check that BQ_DATA_ROOT is right", told)


def test_bars_whose_prefix_was_removed_are_refused_with_what_to_do(at):
    place = Place("s3://bucket/other") / "raw" / "bars"
    pointer = partitions.pointer(Place(URL) / "raw" / "bars")
    (place / partitions.POINTER).write(pointer)
    assert re.search(r"every object that it names must be there.*make upload", refusal("s3://bucket/other"))
