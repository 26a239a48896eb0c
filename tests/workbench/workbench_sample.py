"""A notebook with every figure, and how to save one."""

from pathlib import Path

import nbformat

CANARY = "</script><script>document.title='pwned'</script>"

FIGURES = """
import numpy as np
import polars as pl
from bq.workbench import plots
rng = np.random.default_rng(7)
days = pl.date_range(pl.date(2012, 1, 3), pl.date(2018, 12, 31), eager=True)
returns = pl.DataFrame({"session": days, "model": rng.normal(4e-4, 0.01, len(days)),
                        "score": rng.normal(0, 0.01, len(days))})
"""
CELLS = [
    ("markdown", "# 02 · Walk-forward training\nDoes the model rank opportunities better than the rule score?"),
    ("parameters", "strategy = 'butterfly'  # name; which events\nfolds = 6  # count; test blocks"),
    ("code", FIGURES),
    ("markdown", "## Out-of-sample returns\nSums over a fixed capital, not compounded."),
    (
        "code",
        "plots.cumulative(returns, 'session', ['model', 'score'], title='Cumulative net ROI of the top 5 a day, "
        "out of sample', x_title='session', y_title='cumulative ROI [fraction of capital]')",
    ),
    ("markdown", "## Rank IC"),
    (
        "code",
        "plots.lines(returns.group_by_dynamic('session', every='3mo').agg(pl.col('model').mean()), 'session', "
        "['model'], title='Rank IC a quarter', x_title='quarter', y_title='rank IC')",
    ),
    (
        "code",
        "plots.histogram(pl.DataFrame({'roi': rng.standard_t(3, 4000) / 20, 'side': ['call', 'put'] * 2000}), "
        "'roi', by='side', title='ROI at the holding horizon', x_title='ROI [fraction of debit]')",
    ),
    ("markdown", "## Calibration and classes"),
    (
        "code",
        "p = np.linspace(.05, .95, 10)\nplots.calibration(pl.DataFrame({'predicted': p, 'observed': p + .03, "
        "'low': p - .05, 'high': p + .1, 'n': [900, 700, 500, 400, 300, 220, 150, 90, 60, 30]}), "
        "title='Calibration of P(profit)')",
    ),
    (
        "code",
        "plots.confusion([[300, 60, 20, 9], [80, 200, 50, 20], [30, 60, 150, 40], [12, 20, 50, 80]], "
        "['big loss', 'loss', 'gain', 'big gain'], majority_share=.44, title='Predicted and actual ROI class')",
    ),
    (
        "code",
        "names = [f'implied_volatility_rank_{n}d' for n in range(5, 30)]\nplots.importance(names, "
        "rng.gamma(1, 1, 25), title='Feature importance of the newest fold', x_title='gain [share]')",
    ),
    ("markdown", "## Recipes compared"),
    (
        "code",
        "plots.interval_dots(pl.DataFrame({'recipe': ['lightgbm', 'xgboost', 'elastic net', 'rule score'], "
        "'v': [.4, .3, .1, -.2], 'lo': [-.6, -.5, -.4, -.9], 'hi': [1.3, 1.1, .6, .5]}), label='recipe', value='v', "
        "low='lo', high='hi', baseline=0, title='Top-5 net ROI a day', x_title='net ROI a day [%]')",
    ),
    (
        "code",
        "plots.heatmap(rng.normal(size=(8, 6)), [f'feature_{n}' for n in range(8)], [2013, 2014, 2015, 2016, 2017,"
        " 2018], title='Feature drift by year', x_title='year', y_title='', z_title='standard deviations')",
    ),
    (
        "code",
        "plots.bars(pl.DataFrame({'fold': [1, 2, 3], 'model': [.1, .3, -.1], 'score': [.05, .1, .02]}), 'fold', "
        "['model', 'score'], title='Net ROI a fold', x_title='fold', y_title='net ROI [%]')",
    ),
    ("code", "plots.lines(returns.head(0), 'session', ['model'], title='Realised slippage', x_title='', y_title='')"),
    ("markdown", "## Events"),
    (
        "code",
        "import logging; logging.warning('3 rows quarantined')\nimport pandas as pd\n"
        f"symbols = ['AAPL', {CANARY!r}]\npl.DataFrame({{'symbol': symbols, 'n': [1204, 998], 'roi': [.0123, -.004]}})",
    ),
    ("code", "pd.DataFrame(rng.normal(size=(6, 14)).round(3)).add_prefix('column_')"),
    (
        "code",
        f"from IPython.display import HTML, Markdown, SVG, display\ndisplay(HTML({CANARY!r}), Markdown({CANARY!r}),"
        " SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>'))\n"
        "print('done', strategy, folds)",
    ),
]


def write_notebook(path: Path, cells: list[tuple[str, str]]) -> Path:
    """Save (kind, source) cells as a notebook; kind `parameters` is a tagged code cell."""
    built = []
    for kind, source in cells:
        cell = nbformat.v4.new_markdown_cell(source) if kind == "markdown" else nbformat.v4.new_code_cell(source)
        cell.metadata["tags"] = ["parameters"] if kind == "parameters" else []
        built.append(cell)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=built, metadata=metadata), path)
    return path
