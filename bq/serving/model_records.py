"""Records stored with a model, and the pointers to it: bundle.json, card.json, champion.json, candidate.json."""

from typing import Annotated, Any

from pydantic import Field, FiniteFloat

from bq.core.namespace import Tier
from bq.core.records import Facts, Moment, Number, Record
from bq.runs.record import Git
from bq.runs.verdict import Part

ID = "[0-9a-f]{16}"  # of a model
ModelId = Annotated[str, Field(pattern=f"^{ID}$")]  # never a path


class Probe(Facts):
    """Rows with the answers that the model gave when it was made; None is NaN.

    Of a policy, `probabilities` are the values of its actions and `expected` is the action.
    """

    features: list[list[Number]]  # in the order of the bundle's columns, float32
    category: list[int]
    size: list[Number]
    expected: list[Number]
    probabilities: list[list[Number]]  # of each class; of a regression none


class Chosen(Facts):
    """How many trades a session a model makes, and the rule score that makes as many; see `bq.strategies.policy`."""

    k: int | None  # None: all above the threshold
    score_from: Number  # None: any score


class Bundle(Record):
    """What a graph needs to be used. A model's id is a digest of this text as stored, whatever its schema version."""

    schema_version: int = 4
    strategy: str
    model: str  # the candidate's name among the models of its run
    features: str  # name of the feature set
    schema_hash: str
    columns: list[str]
    classes: list[str]  # empty of a regression
    edges: list[FiniteFloat]
    trade_above: FiniteFloat  # what an expected outcome must exceed to be traded
    threshold: Number  # of a probability, chosen in training
    recipe: str  # digest of the recipe, by the code that trained it: see `comparable.incumbent_way`
    source: str  # of the outcomes: real, modelled or simulated
    events_hash: str
    trained_events: int
    trained_through: Moment  # the latest end of an event that it was trained on
    support: dict[str, dict[str, Any]]  # see `support.describe`
    seed: int
    registered: dict[str, str | None] = {}  # the user's own among the columns, with the digest of the file of each
    tier: Tier | None = None  # None: stored without, up to version 2, as the next
    probe: Probe | None = None
    policy: Chosen | None = None  # None: stored without, up to version 3; `trade_above` alone decides


class Basis(Facts):
    """What the out-of-sample results of a recipe were made of: others are comparable only on the same."""

    policy: str  # digest of what a decision earns of its event
    sessions: dict[str, str]  # session: digest of its events and of what came of them, costs and labels included


class Card(Record):
    """Evidence for a model; after deployment also the run that made it."""

    schema_version: int = 2
    parameters: dict[str, Any] = {}
    metrics_oos: list[dict[str, Any]] = []
    oos_values: list[tuple[str, Number]] | None = None  # session, out-of-sample result of the recipe
    basis: Basis | None = None  # of these results; None: recorded without
    ends: list[Moment] = []  # of the trainings that it is made of, where each went on from the one before
    run_id: str = ""
    packages: dict[str, str] = {}
    git: Git = Git()
    data_hash: str = ""
    verdict: str = ""
    components: list[Part] = []


class Pointer(Record):
    """Pointer to the deployed model."""

    schema_version: int = 2
    model_id: Annotated[str, Field(pattern=f"^({ID}|none)$")]  # registry.NONE: the rule score
    previous: ModelId | None  # what a rollback goes back to; None: the rule score
    since_utc: Moment
    reason: str


class ParityRecord(Facts):
    """See `onnx.Parity`."""

    rows: int
    largest_difference: Number
    flips: int
    ties: int = 0


class Saved(Record):
    """The candidates in a run folder: for the strategy's task, and for its second tier where it has one."""

    schema_version: int = 2
    model_id: ModelId
    parity: ParityRecord
    success_id: ModelId | None = None
    success_parity: ParityRecord | None = None
    tables: dict[str, str] = {}  # name: SHA-256; empty in version 0.1
