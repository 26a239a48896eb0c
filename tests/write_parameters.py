"""Parameters as their classes have them: `python -m tests.write_parameters` writes their files and their page anew."""

from bq import strategies
from bq.core import paths
from bq.core.parameter_text import description, head, render
from bq.core.section import defaults
from tests.documentation import parameters_page


def text(name: str) -> str:
    """parameters/<name>.yaml: every parameter with its default and its description."""
    model = strategies.get(name).settings
    values = {"strategy": name, **defaults(model)}
    return render(model, values, comment=lambda own: description(model, own), top=head(model))


if __name__ == "__main__":
    for strategy in strategies.MODULES:
        paths.parameters(strategy).write_text(text(strategy))
    parameters_page.PAGE.write_text(parameters_page.text())
