"""The folders of bq/, in the order in which they are read, and who imports whom."""

import ast
from pathlib import Path

# read it top to bottom: each folder imports only from folders above it
FLOORS = [
    "core",
    "kernels",
    "stats",
    "simulate",
    "market",
    "analysis",
    "strategies",
    "learning",
    "runs",
    "serving",
    "audit",
    "trading",
    "monitoring",
    "tuning",
    "workbench",
    "jobs",
]


def imported(path: Path) -> set[str]:
    """Modules and names that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names
