"""Which laws are measured, at which strength, on how many markets; and the results kept, one line a market."""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bq.audit.calibration import Measured, Source, simulated
from bq.audit.permutation import BLOCK_SESSIONS, Permuted
from bq.core import files, params, paths
from bq.core.errors import BadData, BadParameters, did_you_mean
from bq.core.records import Facts, Record
from bq.core.settings import Settings
from bq.simulate.families import STRENGTH
from bq.strategies.contract import Strategy

PLANTED = "planted"  # the family of parameters/simulated/<strategy>.yaml
PERMUTED = "permuted"  # not simulated: the bars of a parameter file with their days exchanged
SHOWN = ("workbench", "jobs")  # folders of the package that change no result
FIRST_SEED, ORACLE_SEED = 1_000, 1_000_000


class Point(NamedTuple):
    """Markets of one law, for one strategy."""

    strategy: Strategy
    family: str
    strength: float  # of what is planted; 0: nothing
    settings: Settings
    quick: bool
    tweaks: tuple[Settings, ...] = ()  # further ways of training, tried on each market

    @property
    def source(self) -> Source:
        """Where its markets come from."""
        return Permuted(BLOCK_SESSIONS) if self.family == PERMUTED else simulated

    @property
    def facts(self) -> "PointFacts":
        """What its lines say of it."""
        where = self.settings.model_dump(mode="json")
        if where["market"]["simulation"]:
            where["market"]["simulation"].pop("seed")
        return PointFacts(
            strategy=self.strategy.name,
            family=self.family,
            strength=self.strength,
            quick=self.quick,
            attempts=1 + len(self.tweaks),
            settings=files.digest(where),
            code=code_digest(),
        )


def tweaked(settings: Settings, count: int) -> tuple[Settings, ...]:
    """So many other ways of training, as someone tries who wants to deploy: other trees, other memory, another seed."""
    rng, found = np.random.default_rng(count), []
    for number in range(1, count + 1):
        trees = {
            "n_estimators": int(rng.integers(30, 300)),
            "learning_rate": float(np.exp(rng.uniform(np.log(0.01), np.log(0.2)))),
            "num_leaves": int(rng.integers(4, 32)),
        }
        drawn = {
            "hyperparameters": {**settings.learning.hyperparameters, "lightgbm": trees},
            "half_life_days": (None, 365.0, 730.0)[int(rng.integers(3))],
            "seed": settings.learning.seed + number,
        }
        found.append(settings.model_copy(update={"learning": settings.learning.model_copy(update=drawn)}))
    return tuple(found)


class PointFacts(Facts):
    """Whose a line is. settings : digest of the parameters but the seed. code : of what computes results."""

    strategy: str
    family: str
    strength: float
    quick: bool
    attempts: int = 1  # on each market
    settings: str
    code: str


class Line(Record):
    """One line of a file of results."""

    point: PointFacts
    measured: Measured


@cache
def code_digest() -> str:
    """Digest of the code that computes results, as this process found it."""
    package = paths.CHECKOUT / "bq"
    sources = sorted(path for path in package.rglob("*.py") if path.relative_to(package).parts[0] not in SHOWN)
    return files.digest_of_files(sources, package)


def file_of(strategy: Strategy, family: str) -> Path:
    """The parameter file of a family. Raises BadParameters with the families that there are."""
    folder = paths.CHECKOUT / "parameters" / "simulated"
    known = {path.stem: path for path in folder.glob(f"{strategy.name}*.yaml")}
    name = strategy.name if family == PLANTED else f"{strategy.name}_{family}"
    if name not in known:
        names = sorted(stem.removeprefix(f"{strategy.name}_") for stem in known if stem != strategy.name)
        raise BadParameters(
            f"FAMILY must be a family of simulated markets of {strategy.name}, but got {family!r}; "
            f"{did_you_mean(family, [PLANTED, *names, PERMUTED])}"
        )
    return known[name]


def point(
    strategy: Strategy,
    family: str,
    *,
    strength: float | None = None,
    path: Path | None = None,
    overrides: str,
    quick: bool,
    attempts: int = 1,
) -> Point:
    """A family at a strength (None: that of its file), with so many ways of training on each market.

    path : of a file that is none of the shipped ones. Raises BadParameters for a strength that the family does not
    have, or a file that simulates nothing.
    """
    if family == PERMUTED:
        settings = params.load(path or paths.parameters(strategy.name), strategy.settings, overrides=overrides)
        return Point(strategy, family, 0.0, settings, quick, tweaked(settings, attempts - 1))
    path = path or file_of(strategy, family)
    settings = params.load(path, strategy.settings, overrides=overrides)
    plan = settings.market.simulation
    if settings.market.source != "simulated" or plan is None:
        raise BadParameters(f"{path}: `market.source` must be simulated to be calibrated on, but is not.")
    name = STRENGTH.get(plan.kind)
    if strength is not None:
        if name is None:
            raise BadParameters(f"STRENGTH must be left out for {family}: nothing is planted in its markets.")
        given = {"SET": overrides, "STRENGTH": f"market.simulation.{name}={strength}"}
        settings = params.load(path, strategy.settings, overrides=given)
        plan = settings.market.simulation
    planted = getattr(plan, name) if name else 0.0
    return Point(strategy, family, planted, settings, quick, tweaked(settings, attempts - 1))


class Results:
    """The results of the points of a folder: files of one JSON object a line, one line a market, appended whole."""

    def __init__(self, folder: Path) -> None:
        """folder : made where it is not there."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, facts: PointFacts) -> Path:
        """The file of a point; another for other parameters or other code."""
        key = files.digest(facts.plain(), 8)
        return self.folder / f"{facts.strategy}_{facts.family}_{facts.strength:g}_{key}.jsonl"

    def add(self, facts: PointFacts, measured: Measured) -> None:
        """Append a line in one write: what is killed in between leaves the lines before it whole."""
        line = Line(point=facts, measured=measured).model_dump_json() + "\n"
        path = self.path(facts)
        torn = path.is_file() and not path.read_bytes().endswith(b"\n")
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, (("\n" if torn else "") + line).encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def of(self, facts: PointFacts) -> list[Measured]:
        """The markets of a point, by seed; a line that was torn is left out."""
        found = {line.measured.seed: line.measured for line in _lines(self.path(facts))}
        return [found[seed] for seed in sorted(found)]

    def points(self) -> list[PointFacts]:
        """Every point that has results of today's code, sorted."""
        firsts = [next(_lines(path), None) for path in sorted(self.folder.glob("*.jsonl"))]
        found = [line.point for line in firsts if line is not None and line.point.code == code_digest()]
        return sorted(found, key=lambda facts: (facts.strategy, facts.family, facts.strength, facts.attempts))


def _lines(path: Path) -> Iterator[Line]:
    if not path.is_file():
        return
    for text in path.read_bytes().splitlines():
        try:
            yield Line.parse(text, what=path.name)
        except BadData:
            continue  # torn: its market is measured again
