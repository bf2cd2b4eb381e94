import pytest

from limner.losses.kl_schedules import Cyclical, LinearWarmup


def test_linear():
    weights = [LinearWarmup(num_updates=4)(update) for update in range(7)]
    assert weights == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_cyclical():
    weights = [Cyclical(period=8, ramp=0.5)(update) for update in range(17)]
    cycle = [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0]
    assert weights == [*cycle, *cycle, 0.0]


def test_a_ramp_of_one_grows_to_the_end_of_its_cycle():
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
def test_values_that_mean_nothing_are_refused(schedule, arguments, key):
    with pytest.raises(ValueError, match=key):
        schedule(**arguments)
