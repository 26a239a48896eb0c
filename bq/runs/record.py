"""What a run says of itself: run.json, from the first second of a run to its end."""

from enum import StrEnum
from typing import Any

from bq.core.records import Facts, Moment, Number, Record


class Job(StrEnum):
    """What a run was made for."""

    RETRAIN = "retrain"
    QUICK = "quick"  # a retrain that is only a look
    EXPLORE = "explore"
    TRAIN = "train"
    STACK = "stack"
    TUNE = "tune"


class Status(StrEnum):
    """What became of a run."""

    RUNNING = "running"
    DEPLOYED = "deployed"
    KEPT = "kept"
    DONE = "done"  # nothing was to be judged
    FAILED = "failed"
    CANCELLED = "cancelled"
    KILLED = "killed"


GOOD = (Status.DEPLOYED, Status.KEPT, Status.DONE)


class Cause(StrEnum):
    """Why a retrain is run."""

    FORCED = "forced"
    FIRST_ATTEMPT = "first_attempt"
    CHAMPION_UNREADABLE = "champion_unreadable"
    NO_CHAMPION = "no_champion"
    SCHEMA = "schema"  # of the features
    AGE = "age"  # of the champion: days since its training ended
    EVENTS = "events"  # matured ones that the last attempt did not know
    DATA = "data"
    PARAMETERS = "parameters"
    CODE = "code"
    PACKAGES = "packages"
    UNKNOWN = "unknown"  # known by its text alone, as of 0.1


class Trigger(Facts):
    """One reason to retrain, or its distance where it does not hold."""

    kind: Cause
    holds: bool = True
    value: Number = None  # found, in the unit of its kind: events or days
    threshold: Number = None  # from which it holds
    text: str = ""  # for people


class Git(Facts):
    """The commit, and whether the checkout differs from it; None outside a git checkout."""

    sha: str | None = None
    dirty: bool | None = None


class Phase(Facts):
    """What a part of a run cost."""

    name: str
    seconds: float
    peak_rss_mib: int


class Finding(Facts):
    """What became of rows, by rule: see `bq.market.check.table`."""

    action: str
    symbol: str | None = None
    rule: str
    times: int
    cases: list[str] = []


class Findings(Facts):
    """What became of the rows of bars, and what was found in them."""

    read: int = 0
    outside: int = 0  # the dates
    not_asked: int = 0  # of symbols that are not asked for
    kept: int = 0
    lines: list[Finding] = []
    more: int = 0  # lines left out


class Health(Facts):
    """What was done, or left out, of how much, and why."""

    what: str
    count: int
    of: int
    why: str = ""


class Download(Facts):
    """A file in the run folder that a reader may want."""

    label: str
    file: str


class Known(Facts):
    """What the next attempt must know of this one's events: rule sets, and until when they had matured."""

    variants: list[str] = []
    matured_by: Moment | None = None


class RunRecord(Record):
    """The record of a run. Of version 1 the namespace was `strategy`, the triggers one sentence."""

    schema_version: int = 2
    run_id: str
    namespace: str  # key of a bq.core.namespace.Namespace
    job: Job
    status: Status
    error: str | None  # what stopped it
    during: str = ""  # the phase it is in, while it is running
    started_utc: Moment | None = None
    finished_utc: Moment | None = None
    title: str = ""
    headline: str = ""
    source: str = ""  # of the outcomes: real, modelled or simulated
    parameters: dict[str, Any] = {}
    data_hash: str = ""
    git: Git = Git()
    packages: dict[str, str] = {}
    seed: int | None = None
    resources: dict[str, Any] = {}
    findings: Findings = Findings()
    health: list[Health] = []
    phases: list[Phase] = []
    warnings: list[str] = []
    changes: list[str] = []
    known: Known = Known()
    triggers: list[Trigger] = []
    deployed: list[str] = []  # ids of the models of either tier
    downloads: list[Download] = []
    tables: dict[str, str] | None = None  # file: SHA-256; None: recorded without

    @classmethod
    def upgraded(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Version 1, of 0.1."""
        if "strategy" in content:
            content["namespace"] = content.pop("strategy")
        if told := content.pop("trigger", None):
            content["triggers"] = [{"kind": Cause.UNKNOWN, "text": told}]
        for name in ("known", "findings", "git", "packages", "parameters"):
            if content.get(name, "") is None:
                del content[name]
        return content

    @property
    def good(self) -> bool:
        """Whether it came to its end with everything that belongs to it."""
        return self.status in GOOD and self.error is None

    @property
    def why(self) -> str:
        """The triggers in words."""
        return "; ".join(trigger.text for trigger in self.triggers)
