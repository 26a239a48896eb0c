"""Fixtures of the toy world."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from toy_world import later, toy_model, world  # noqa: F401
