"""The models that a server answers with: loaded once, and again when what is deployed changes."""

from pathlib import Path
from typing import NamedTuple

from bq.core import files, paths
from bq.core.log import log
from bq.core.namespace import Tier
from bq.core.settings import Settings
from bq.serving import decide, registry
from bq.serving.decide import Loaded, Models
from bq.serving.ready import Champion, WhyNot
from bq.strategies.contract import Strategy

Stamp = tuple[tuple[int, int] | None, ...]  # of each tier's pointer: inode and time of change; None where it has none


class Serving(NamedTuple):
    """Models that answer together. digest : SHA-256 of the graph that decides; None: the rule score does."""

    models: Models
    digest: str | None
    stamp: Stamp

    @property
    def model(self) -> Champion | None:
        """The one that decides."""
        return self.models.first[1]

    @property
    def fault(self) -> str | None:
        """Why a deployed model cannot answer; None where each can, or none is deployed."""
        states: tuple[Loaded | None, ...] = self.models
        harmless = (WhyNot.NOT_ASKED, WhyNot.NOT_DEPLOYED, WhyNot.NO_SECOND_TIER)
        found = (one for one in states if one is not None and one.model is None and one.why_not not in harmless)
        return next((one.fault or str(one.why_not) for one in found), None)


class Deployed:
    """What is deployed now. A request takes `now` once, and keeps it: what is swapped meanwhile does not touch it."""

    def __init__(self, strategy: Strategy, settings: Settings) -> None:
        self.strategy, self.settings = strategy, settings
        self.now = self._load(self._stamp())

    def refresh(self) -> bool:
        """Load what is deployed where it changed; whether it had."""
        stamp = self._stamp()
        if stamp == self.now.stamp:
            return False
        self.now = self._load(stamp)
        decides = self.now.model
        log.info("%s decides now", decides.model_id if decides else "the rule score")
        return True

    def _load(self, stamp: Stamp) -> Serving:
        models = decide.load(self.strategy, self.settings)
        tier, model = models.first
        if model is None:
            return Serving(models, None, stamp)
        namespace = self.settings.namespace if tier == Tier.CHAMPION else self.settings.namespace.second
        graph = registry.folder(namespace, model.model_id) / "model.onnx"
        return Serving(models, files.sha256(files.read_bytes(graph)), stamp)

    def _stamp(self) -> Stamp:
        tiers = (self.settings.namespace, self.settings.namespace.second)
        return tuple(_changed(paths.models(tier) / registry.POINTER) for tier in tiers)


def _changed(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
