"""How many inputs a fuzz test tries: a third of them in each run of the suite, all with BQ_FULL=1."""

import os

from hypothesis import HealthCheck, settings

SHARE = 1 if os.environ.get("BQ_FULL") == "1" else 3


def many(examples: int) -> settings:
    return settings(max_examples=examples // SHARE, suppress_health_check=list(HealthCheck), database=None)
