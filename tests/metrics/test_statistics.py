import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from horsekit.metrics import bootstrap, theil_sen
from horsekit.metrics.statistics import means_of, spearman


@settings(max_examples=20, deadline=None)
@given(slope=st.floats(-50, 50), origin=st.floats(-100, 100))
def test_theil_sen_is_exact_on_a_line_and_blind_to_one_outlier(slope, origin):
    times = torch.linspace(0, 4, 9)
    values = origin + slope * times.double()
    values[4] += 1000
    found, at_zero = theil_sen(times, values)
    assert found == pytest.approx(slope, abs=1e-4) and at_zero == pytest.approx(origin, abs=1e-3)


def test_theil_sen_refuses_one_time():
    with pytest.raises(ValueError, match="two distinct times"):
        theil_sen(torch.ones(3), torch.arange(3))


def test_bootstrap_covers_the_mean_of_a_known_spread():
    values = torch.randn(400, generator=torch.Generator().manual_seed(0)).tolist()
    interval = bootstrap(values)
    assert interval.low < interval.value < interval.high
    assert interval.high - interval.low == pytest.approx(2 * 1.96 / 20, rel=0.15)
    assert bootstrap([]) is None


def test_bootstrap_of_another_figure():
    interval = bootstrap(list(range(101)), lambda rows: rows.quantile(0.95, dim=-1))
    assert interval.value == 95 and interval.low < 95 <= interval.high <= 100


def test_rank_correlation_knows_order_alone():
    values = torch.tensor([0.1, 5.0, 2.0, 80.0])
    assert spearman(values, values.exp().clamp(max=1e30)) == pytest.approx(1)
    assert spearman(values, -values) == pytest.approx(-1)
    assert spearman(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 3.0, 2.0])) == pytest.approx(0.5)
    assert spearman(torch.tensor([1.0, 2.0, 2.0]), torch.tensor([1.0, 2.0, 2.0])) == pytest.approx(1), "ties"
    assert spearman(values, torch.ones(4)) == 0


def test_what_one_speaker_says_several_times_is_one_observation():
    assert means_of([1.0, 0.0, 1.0, 1.0], [7, 3, 7, 3]) == [0.5, 1.0]
    values, who = [100.0, 100.0, 0.0, 0.0] * 10, [0, 0, 1, 1] * 10
    alone, grouped = bootstrap(values), bootstrap(means_of(values, who))
    assert grouped.value == alone.value and grouped.high - grouped.low > 2 * (alone.high - alone.low)
