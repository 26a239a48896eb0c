"""The files for containers and schedulers are not run by tests: what they name must exist."""

import ast
import importlib.util
import re

import pytest
import yaml

from bq import __main__ as program
from tests.documentation.blocks import ROOT, blocks

FOLDER = ROOT / "docs" / "containers"
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+): ", MAKEFILE, re.M))
KNOWN = set(re.findall(r"\b[A-Z][A-Z_]+\b", MAKEFILE.partition("VARIABLES :=")[2].partition("UNKNOWN")[0]))
STEPS = [line.split() for line in (FOLDER / "Containerfile").read_text().replace("\\\n", " ").splitlines()]
SERVICES = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
SCHEDULE = [one for one in blocks() if one.document.name == "schedule.md"]


def test_every_path_that_the_image_copies_exists_and_what_a_set_up_needs_is_copied():
    copied = [name for step in STEPS if step[:1] == ["COPY"] for name in step[1:-1]]
    assert {name for name in copied if not (ROOT / name).exists()} == set()
    assert {"Makefile", "pyproject.toml", "requirements.lock", "README.md", "bq", "notebooks", "parameters"} <= set(
        copied
    )


def test_every_target_that_the_image_makes_exists():
    made = [step[step.index("make") + 1] for step in STEPS if step[:2] == ["RUN", "make"]]
    (command,) = [re.findall(r'"(.*?)"', " ".join(step)) for step in STEPS if step[:1] == ["CMD"]]
    assert made and command and set(made) | set(command) <= TARGETS


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_of_a_file_that_is_there_or_of_another_s_image(name):
    service = SERVICES[name]
    if "build" in service:
        context = FOLDER / service["build"]["context"]
        assert (context / service["build"]["dockerfile"]).samefile(FOLDER / "Containerfile")
        assert context.resolve() == ROOT
    else:
        assert name == "database" and service["image"].count("/") == 2, "registry, owner, name"
    assert set(service.get("depends_on", [])) <= set(SERVICES)


@pytest.mark.parametrize("name", [name for name in SERVICES if "build" in SERVICES[name]])
def test_a_service_starts_what_exists_with_variables_that_are_known(name):
    service = SERVICES[name]
    first, *words = [*service["entrypoint"], *service["command"]]
    if first == "make":
        assert words[0] in TARGETS and {word.partition("=")[0] for word in words[1:]} <= KNOWN
    else:
        assert (first, words[0]) == (".venv/bin/python", "-m") and importlib.util.find_spec(words[1])
    assert set(service.get("environment", {})) <= KNOWN | {"OMP_NUM_THREADS"}


def test_no_password_stands_in_the_file_and_no_port_is_open_to_others():
    text = (FOLDER / "compose.yaml").read_text()
    assert not re.search(r"(PASSWORD|TOKEN): (?!\$\{)", text) and re.search(r"bq:\$\{BQ_PASSWORD\}@database", text)
    assert all(port.startswith("127.0.0.1:") for service in SERVICES.values() for port in service.get("ports", []))


def test_the_workflow_makes_targets_that_exist():
    (text,) = [one.text for one in SCHEDULE if one.text.startswith("# .github/workflows/")]
    workflow = yaml.safe_load(text)
    steps = workflow["jobs"]["cycle"]["steps"]
    (run,) = [step for step in steps if "run" in step]
    assert run["run"].split()[0] == "make" and run["run"].split()[1] in TARGETS and set(run["env"]) <= KNOWN
    assert workflow[True]["schedule"] == [{"cron": "30 22 * * 1-5"}], "YAML 1.1 reads `on` as true"


def test_schedulers_start_targets_and_notebooks_that_exist():
    texts = [one.text for one in SCHEDULE if one.language == "python"]
    assert len(texts) == 2
    for text in texts:
        words = " ".join(str(node.value) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
        assert set(re.findall(r"-m bq (\w+)", words)) == {"cycle"} <= set(program.TARGETS)
    (notebook,) = re.findall(r"/(notebooks/\S+\.ipynb)", " ".join(texts))
    assert (ROOT / notebook).is_file() and 'strategy = "' in (ROOT / notebook).read_text().replace("\\", "")
