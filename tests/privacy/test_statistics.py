"""The statistics of the attacks against tabulated and closed values."""

from __future__ import annotations

from math import comb, inf, isclose

import pytest

from borne.privacy.attacks.statistics import auc, beta, clopper_pearson, log_ratio_bound


@pytest.mark.parametrize(("a", "b", "x"), [(2, 3, 0.4), (1, 1, 0.3), (30, 5, 0.9), (7, 90, 0.02)])
def test_beta_is_the_binomial_tail(a: int, b: int, x: float) -> None:
    n = a + b - 1
    tail = sum(comb(n, k) * x**k * (1 - x) ** (n - k) for k in range(a, n + 1))
    assert isclose(beta(a, b, x), tail, rel_tol=1e-10)


def test_clopper_pearson_as_tabulated() -> None:
    # 10 of 100 at 95 %: 4.9005 % to 17.6223 % (Clopper and Pearson; R binom.test).
    low, high = clopper_pearson(10, 100, 0.025)
    assert (round(low, 6), round(high, 6)) == (0.049005, 0.176223)
    # None of n: 1 - error^(1/n); all of n the same from above.
    assert isclose(clopper_pearson(0, 100, 0.025)[1], 1 - 0.025**0.01, rel_tol=1e-9)
    assert clopper_pearson(100, 100, 0.025)[1] == 1.0


def test_large_counts_do_not_run_out_of_terms() -> None:
    low, high = clopper_pearson(500_000, 1_000_000, 0.0005)
    # The normal approximation: 3.29 standard errors of 0.0005.
    assert abs(low - (0.5 - 3.29 * 0.0005)) < 1e-5 and abs(high - (0.5 + 3.29 * 0.0005)) < 1e-5


def test_a_ratio_is_bounded_from_below() -> None:
    assert log_ratio_bound(0, 100, 50, 100, 0.001) == -inf
    assert 0.5 < log_ratio_bound(800, 1000, 300, 1000, 0.001) < 0.981


def test_auc() -> None:
    assert auc([2, 3], [0, 1]) == 1.0
    assert auc([1, 1], [1, 1]) == 0.5
    assert auc([0], [1]) == 0.0
