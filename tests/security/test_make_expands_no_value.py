"""What is given to make for a variable is text: nothing in it is expanded, and it arrives as it stands."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VALUES = {
    "shell": "$(shell touch pwned)",
    "shell-in-braces": "${shell touch pwned}",
    "eval": "$(eval $(shell touch pwned))",
    "error": "a$(error it was expanded)",
    "doubled": "$$(shell touch pwned) $$$$",
    "variable": "$(KNOWN)-$HOME-$x-$",
    "shell-syntax": "; touch pwned; $(touch pwned) `touch pwned` && touch pwned",
    "quotes": "a'b\"c\\d # e % f",
    "lines": "first\nsecond: touch pwned\n\ttouch pwned",
    "spaces": "learning.folds=6  gate.top_k=3",
}
NAMES = ("SET", "STRATEGY", "RUN", "NOTIFY_CMD", "BQ_DATABASE_URL", "BQ_SECRET_NAMES")


@pytest.fixture
def make(tmp_path):
    """A function that runs make on a copy of the Makefile whose python prints its environment."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("pyproject.toml", "requirements.lock"):
        (tmp_path / name).touch()
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    say = "import json, os; print(json.dumps(dict(os.environ)))"
    python.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{say}'\n")
    python.chmod(0o755)
    (tmp_path / ".venv" / ".ready").touch()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["make", *arguments], cwd=tmp_path, env=kept | environment, capture_output=True, text=True, timeout=60
        )

    return run


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("name", NAMES)
def test_a_value_on_the_command_line_arrives_as_it_stands(make, tmp_path, name, value):
    done = make("status", f"{name}={value}")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[name] == value
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_in_the_environment_arrives_as_it_stands(make, tmp_path, value):
    done = make("tune", **dict.fromkeys(NAMES, value))
    assert done.returncode == 0, done.stderr
    assert {json.loads(done.stdout)[name] for name in NAMES} == {value}
    assert not (tmp_path / "pwned").exists()


def test_a_variable_that_is_not_given_stays_absent_or_empty(make):
    found = json.loads(make("status", STRATEGY="").stdout)
    assert {found.get(name, "") for name in NAMES} == {""}
    assert "KNOWN" not in found and "READY" not in found


@pytest.mark.parametrize("dry", [[], ["-n"]], ids=["run", "dry-run"])
@pytest.mark.parametrize("name", ["PYTHON", "VENV"])
@pytest.mark.parametrize("value", ["$(shell touch pwned)", "x; touch pwned", "`touch pwned`", "$$(touch pwned)"])
def test_what_is_part_of_a_shell_command_is_a_path_or_refused(make, tmp_path, name, value, dry):
    done = make("status", *dry, f"{name}={value}")
    assert done.returncode == 2 and f"{name} must be a path" in done.stderr
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("value", ["$(shell touch pwned)", "'; touch pwned; '"], ids=["make", "shell"])
def test_an_unknown_variable_is_refused_and_not_expanded(make, tmp_path, value):
    done = make("status", f"STRATEGIE={value}")
    assert done.returncode == 2 and "did you mean STRATEGY?" in done.stderr
    assert not (tmp_path / "pwned").exists()


def test_the_interpreter_and_its_folder_can_be_named(make, tmp_path):
    shutil.copytree(tmp_path / ".venv", tmp_path / "other_venv-3.12")
    done = make("status", "VENV=other_venv-3.12", "PYTHON=/usr/bin/env python3", "A=1")
    assert json.loads(done.stdout)["A"] == "1"
