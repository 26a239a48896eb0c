"""Whose models, runs and lock: a strategy under a name, its simulated twin apart, each with tiers of models."""

import re
from dataclasses import dataclass, replace
from enum import IntEnum

from bq.core.errors import BadParameters

NAME = r"[a-z][a-z0-9]*(_[a-z0-9]+)*"  # of a strategy, and of a universe
KEY = re.compile(rf"(?P<strategy>{NAME})(\.(?P<name>{NAME}))?(?P<simulated>-simulated)?(?P<tier>-success|-weights)?")
KEYWORDS = ("simulated", "success", "weights", "champion", "latest")  # what a universe should not be called


class Tier(IntEnum):
    """Who decides, the first three in the order in which they are asked."""

    CHAMPION = 1
    SECOND = 2
    RULE = 3
    WEIGHTS = 4  # the rule score by learnt weights, where they are asked for

    @property
    def label(self) -> str:
        """For people."""
        names = {1: "champion", 2: "success-probability model", 3: "rule score", 4: "learnt weights"}
        return names[self.value]


SUFFIXES = {Tier.SECOND: "-success", Tier.WEIGHTS: "-weights"}  # of the folders of their models


@dataclass(frozen=True, order=True)
class Namespace:
    """Where the models of one tier, the runs and the lock of a parameter file belong.

    A simulated market never touches what is real, and a universe of a name of its own never touches another's.

    >>> str(Namespace("butterfly", "my_us", simulated=True)), Namespace.parse("forecast").name
    ('butterfly.my_us-simulated', 'forecast')
    """

    strategy: str
    name: str = ""  # of a parameter file; by default the strategy's
    simulated: bool = False
    tier: Tier = Tier.CHAMPION

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.strategy)

    def __str__(self) -> str:
        """The name of its folder, and its key in records and the database."""
        named = "" if self.name == self.strategy else f".{self.name}"
        return f"{self.strategy}{named}{'-simulated' * self.simulated}{SUFFIXES.get(self.tier, '')}"

    @property
    def second(self) -> "Namespace":
        """Where the second tier's models are kept."""
        return replace(self, tier=Tier.SECOND)

    @property
    def weights(self) -> "Namespace":
        """Where policies of learnt weights are kept."""
        return replace(self, tier=Tier.WEIGHTS)

    @property
    def champion(self) -> "Namespace":
        """Where the first tier's models are kept: also the one of runs, lock and scans."""
        return replace(self, tier=Tier.CHAMPION)

    @staticmethod
    def parse(key: str) -> "Namespace":
        """The namespace whose key this is. Raises BadParameters for text that is none."""
        found = KEY.fullmatch(key)
        if found is None:
            raise BadParameters(
                f"a namespace must read strategy[.name][-simulated][-success or -weights], but got {key!r}. "
                "`make status` lists them."
            )
        tier = next((tier for tier, suffix in SUFFIXES.items() if suffix == found["tier"]), Tier.CHAMPION)
        return Namespace(found["strategy"], found["name"] or "", bool(found["simulated"]), tier)

    @staticmethod
    def of_folder(name: str) -> "Namespace | None":
        """The namespace of a folder of models/; None for a folder that is none."""
        return Namespace.parse(name) if KEY.fullmatch(name) else None
