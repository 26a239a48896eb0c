"""Corrections for many comparisons are statsmodels': the figures a verdict rests on, held against known ones."""

import pytest
from statsmodels.stats.multitest import multipletests

P = [0.001, 0.02, 0.04, 0.3, 0.5, 0.008, 0.15]


@pytest.mark.parametrize(
    ("method", "adjusted"),
    [
        pytest.param("holm", [0.007, 0.1, 0.16, 0.6, 0.6, 0.048, 0.45], id="holm"),
        pytest.param("fdr_bh", [0.007, 0.046667, 0.07, 0.35, 0.5, 0.028, 0.21], id="benjamini-hochberg"),
        pytest.param("fdr_by", [0.01815, 0.121, 0.1815, 0.9075, 1.0, 0.0726, 0.5445], id="benjamini-yekutieli"),
    ],
)
def test_adjusted_p_values_match_worked_examples(method, adjusted):
    assert multipletests(P, method=method)[1] == pytest.approx(adjusted, abs=1e-5)
