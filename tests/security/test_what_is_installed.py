"""The environment is what was locked: versions above the floors, every file by its hash."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
FLOORS = {"jupyter-server": "2.18", "nbconvert": "7.17.1", "onnx": "1.21"}  # below them: known holes


def locked() -> dict[str, str]:
    """Name and version: the text of each entry of the lock, its hashes included."""
    text = re.sub(r"^#.*\n", "", (ROOT / "requirements.lock").read_text(), flags=re.M)
    entries = re.split(r"\n(?=\S)", text.strip())
    return {entry.split(";")[0].split("\\")[0].strip(): entry for entry in entries}


@pytest.mark.parametrize(("name", "floor"), FLOORS.items(), ids=FLOORS)
def test_no_version_below_its_floor_is_asked_for_locked_or_installed(name, floor):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {found.name: found.specifier for found in map(Requirement, project["dependencies"])}
    below = f"{Version(floor).major}.{max(Version(floor).minor - 1, 0)}.99"
    assert Version(below) not in wanted[name] and Version(floor) in wanted[name]
    versions = [entry.split("==")[1] for entry in locked() if entry.startswith(f"{name}==")]
    assert versions and all(Version(version) >= Version(floor) for version in versions)
    assert Version(importlib.metadata.version(name)) >= Version(floor)


def test_every_locked_requirement_is_one_version_with_hashes():
    entries = locked()
    assert len(entries) > 100
    for name, entry in entries.items():
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]*(\[[a-z,-]+\])?==[\w.!+]+", name), name
        assert re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry), name
    assert not re.search(
        r"^\s*(-e|--(extra-)?index-url|--find-links|--trusted-host)", "\n".join(entries.values()), re.M
    )


def test_installing_asks_for_the_hashes():
    recipe = re.sub(r"\\\n\s*", "", (ROOT / "Makefile").read_text())  # lines that go on are one
    assert "--require-hashes -r requirements.lock" in recipe
    assert not re.search(r"pip install (?!.*(--require-hashes|--no-deps))", recipe)
