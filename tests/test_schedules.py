import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.schedules import Cosine, Cyclical, Interval, Linear, LinearWarmup, WarmupCosine

SETTINGS = {"start": 2.0, "end": 0.5, "first": 10, "last": 30}


@pytest.mark.parametrize("schedule", [Linear(**SETTINGS), Cosine(**SETTINGS)])
def test_schedule_holds_then_changes_then_holds(schedule):
    assert [schedule(update) for update in (0, 10)] == [2.0, 2.0]
    assert [schedule(update) for update in (30, 31, 10**9)] == [0.5] * 3
    assert schedule(20) == pytest.approx(1.25), "the mean of both ends"
    values = [schedule(update) for update in range(10, 31)]
    assert values == sorted(values, reverse=True)


def test_linear_is_straight_and_cosine_is_flat_at_its_ends():
    line, curve = Linear(**SETTINGS), Cosine(**SETTINGS)
    steps = [line(update) - line(update + 1) for update in range(10, 30)]
    assert steps == pytest.approx([1.5 / 20] * 20)
    assert curve(10) - curve(11) < 0.1 * 1.5 / 20 * 2
    assert curve(11) - 2.0 == pytest.approx(0.5 - curve(29)), "not symmetric"


def test_warmup_grows_in_equal_steps_and_then_follows_the_cosine():
    schedule = WarmupCosine(warmup=0.1, end=0.5, last=100)
    assert [schedule(update) for update in range(10)] == pytest.approx(
        [0.1 * (1 + update) for update in range(10)]
    )
    cosine = Cosine(start=1.0, end=0.5, first=9, last=100)
    assert all(schedule(update) == cosine(update) for update in range(9, 120))


@pytest.mark.parametrize("last", [1, 2, 3, 30])
def test_warmup_starts_above_0_however_short_the_training(last):
    assert all(WarmupCosine(warmup=0.02, end=0.1, last=last)(update) > 0 for update in range(last))


@pytest.mark.parametrize("warmup", [-0.1, 1.0, 200])
def test_warmup_refuses_what_is_no_share(warmup):
    with pytest.raises(ValueError, match=r"lr_schedule\.warmup="):
        WarmupCosine(warmup=warmup, end=0.0, last=100)


def test_linear_may_grow():
    assert [Linear(start=0.0, end=1.0, first=0, last=4)(i) for i in range(5)] == [
        0,
        0.25,
        0.5,
        0.75,
        1,
    ]


@pytest.mark.parametrize(("first", "last"), [(5, 5), (6, 5), (-1, 5)])
def test_linear_refuses_an_empty_span(first, last):
    with pytest.raises(ValueError, match=f"first={first} to last={last}"):
        Linear(start=1.0, end=0.0, first=first, last=last)


@pytest.mark.parametrize("num_updates", [1, 3, 7, 12000])
def test_linear_warmup_is_the_fraction_of_its_updates(num_updates):
    schedule = LinearWarmup(num_updates=num_updates)
    updates = range(0, 3 * num_updates, max(1, num_updates // 100))
    assert [schedule(u) for u in updates] == [min(1.0, u / num_updates) for u in updates]


@pytest.mark.parametrize(("start", "end"), [(-1, 1), (1, -1e-9), (float("nan"), 1)])
@pytest.mark.parametrize("schedule", [Linear, Cosine])
def test_schedule_refuses_numbers_below_0(schedule, start, end):
    with pytest.raises(ValueError, match=f"start={start} to end={end}: must be 0 or more"):
        schedule(start=start, end=end, first=0, last=2)


def test_linear_warmup_grows_to_one():
    weights = [LinearWarmup(num_updates=4)(update) for update in range(7)]
    assert weights == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_cyclical_restarts_in_each_cycle():
    weights = [Cyclical(period=8, ramp=0.5)(update) for update in range(17)]
    cycle = [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0]
    assert weights == [*cycle, *cycle, 0.0]


def test_cyclical_with_a_ramp_of_one_grows_to_the_end_of_its_cycle():
    assert [Cyclical(period=4, ramp=1.0)(u) for u in range(5)] == [0.0, 0.25, 0.5, 0.75, 0.0]


@pytest.mark.parametrize(
    ("schedule", "arguments", "key"),
    [
        (LinearWarmup, {"num_updates": 0}, "kl_schedule.num_updates=0"),
        (Cyclical, {"period": 1, "ramp": 0.5}, "kl_schedule.period=1"),
        (Cyclical, {"period": 10, "ramp": 0.0}, "kl_schedule.ramp=0.0"),
        (Cyclical, {"period": 10, "ramp": 1.5}, "kl_schedule.ramp=1.5"),
    ],
)
def test_kl_schedules_refuse_invalid_values(schedule, arguments, key):
    with pytest.raises(ValueError, match=key):
        schedule(**arguments)


@given(every=st.integers(1, 9), growth=st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0]))
def test_interval_is_the_least_multiple_that_is_a_share_of_the_count(every, growth):
    interval = Interval(every=every, growth=growth)
    due = [count for count in range(400) if interval.is_due(count)]
    assert due[0] == every
    for before, after in itertools.pairwise(due):
        gap = after - before
        assert gap % every == 0
        assert gap >= growth * before
        assert gap == every or gap - every < growth * before, "a smaller interval would do"


@given(counts=st.lists(st.integers(0, 3000)), growth=st.sampled_from([0.0, 0.1, 2.0]))
def test_interval_depends_on_the_count_only(counts, growth):
    """A resumed run asks first about a late count, and gets the same answer."""
    used = Interval(every=3, growth=growth)
    for count in counts:
        assert used.is_due(count) == Interval(every=3, growth=growth).is_due(count)


def test_interval_without_growth_is_constant():
    interval = Interval(every=4, growth=0.0)
    assert [count for count in range(14) if interval.is_due(count)] == [4, 8, 12]


def test_intervals_make_work_rare():
    """The number of times grows like log(length) / log(1.1)."""
    interval = Interval(every=1, growth=0.1)
    times = [sum(interval.is_due(count) for count in range(end)) for end in (101, 1001, 10001)]
    assert times == [30, 54, 78]


@pytest.mark.parametrize("values", [{"every": 0, "growth": 0.1}, {"every": 1, "growth": -0.1}])
def test_interval_refuses_odd_values(values):
    with pytest.raises(ValueError, match="or more"):
        Interval(**values)
