"""The record of a run, run.json: written when the run starts and updated until it ends."""

from enum import StrEnum
from typing import Any

from bq.core.records import Facts, Moment, Number, Record


class Job(StrEnum):
    """Which job a run is of."""

    RETRAIN = "retrain"
    QUICK = "quick"  # a retrain that never deploys
    EXPLORE = "explore"
    TRAIN = "train"
    STACK = "stack"
    DRIFT = "drift"
    AB = "ab"
    TUNE = "tune"
    WEIGHTS = "tune-weights"
    REPLAY = "replay"


class Status(StrEnum):
    """State or result of a run."""

    RUNNING = "running"
    DEPLOYED = "deployed"
    KEPT = "kept"
    DONE = "done"  # without a gate
    FAILED = "failed"
    CANCELLED = "cancelled"
    KILLED = "killed"


GOOD = (Status.DEPLOYED, Status.KEPT, Status.DONE)


class Cause(StrEnum):
    """What triggers a retrain."""

    FORCED = "forced"
    FIRST_ATTEMPT = "first_attempt"
    CHAMPION_UNREADABLE = "champion_unreadable"
    NO_CHAMPION = "no_champion"  # of versions before
    SCHEMA = "schema"  # of the features
    AGE = "age"  # of the champion: days since its training ended
    EVENTS = "events"  # matured since the last attempt
    HARM = "harm"  # confirmed loss of performance
    EVIDENCE = "evidence"  # out of sample since a confirmed change, as much as a verdict needs
    PROMISE = "promise"  # realised outcomes beyond what was predicted
    TABLE = "table"  # labelled, from which events are collected
    OWN_FEATURES = "own_features"  # the files that they are in
    UNFINISHED = "unfinished"  # the last attempt was not published
    DATA = "data"  # of versions before
    PARAMETERS = "parameters"
    CODE = "code"
    PACKAGES = "packages"
    UNKNOWN = "unknown"  # known by its text alone (version 0.1)


class Trigger(Facts):
    """One trigger of a retrain, with its distance where it does not hold."""

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
    """Duration and peak memory of one phase of a run."""

    name: str
    seconds: float
    peak_rss_mib: int


class Finding(Facts):
    """Rows that a rule changed or dropped: see `bq.market.check.table`."""

    action: str
    symbol: str | None = None
    rule: str
    times: int
    cases: list[str] = []


class Findings(Facts):
    """Rows of bars read and kept, and findings in them."""

    read: int = 0
    outside: int = 0  # the requested dates
    not_asked: int = 0  # of symbols that were not requested
    kept: int = 0
    lines: list[Finding] = []
    more: int = 0  # lines left out


class Health(Facts):
    """How many of a total were done or left out, and why."""

    what: str
    count: int
    of: int
    why: str = ""


class Download(Facts):
    """A file in the run folder offered for download."""

    label: str
    file: str


class Known(Facts):
    """Events of an attempt: variants, and until when they had matured."""

    variants: list[str] = []
    matured_by: Moment | None = None


class Seen(Facts):
    """How far decisions and outcomes had come: the newest scan that counts, and how many outcomes were recorded."""

    scan_id: int = 0
    outcomes: int = 0


class Standing(Facts):
    """How far a ledger had come: its chained entries, and the digest of the newest."""

    entries: int
    digest: str


class Ledger(Facts):
    """What the ledger held when a run ended: looks at a strategy's results on real, or simulated, markets."""

    looks: int
    since: Moment | None = None  # of the first
    own: int = 0  # of the run itself
    standing: Standing


class RunRecord(Record):
    """The record of a run. In version 1 the namespace was `strategy`, and the triggers were one sentence."""

    schema_version: int = 2
    run_id: str
    namespace: str  # key of a bq.core.namespace.Namespace
    job: Job
    status: Status
    error: str | None  # that stopped it
    during: str = ""  # the phase it is in, while it is running
    sequence: int = 0  # in the order in which runs were begun, whatever the clock says; 0: recorded without
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
    ledger: Ledger | None = None  # None: recorded without
    seen: Seen = Seen()  # of a report on monitoring

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
        """Whether the run finished without an error."""
        return self.status in GOOD and self.error is None

    @property
    def why(self) -> str:
        """The triggers that held, as text."""
        return "; ".join(trigger.text for trigger in self.triggers if trigger.holds)
