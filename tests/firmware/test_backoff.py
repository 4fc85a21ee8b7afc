"""The retry schedule: limits, growth, spread, and clocks that jump."""

from borne_node.link.backoff import FRESH, due, failed

NOW = 1_790_000_000


def lowest(bits):
    return 0


def highest(bits):
    return (1 << bits) - 1


def delays(random_bits, count):
    state = FRESH
    found = []
    for _ in range(count):
        state = failed(state, NOW, random_bits)
        found.append(state[1] - NOW)
    return found


def test_a_fresh_node_tries_at_once():
    assert due(FRESH, NOW)
    assert due(FRESH, 0)


def test_the_longest_delays_double_up_to_an_hour():
    assert delays(highest, 9) == [59, 119, 239, 479, 959, 1919, 3599, 3599, 3599]


def test_the_shortest_delay_is_always_thirty_seconds():
    assert delays(lowest, 9) == [30] * 9


def test_a_delay_may_fall_anywhere_between():
    drawn = iter(range(64))
    found = set()
    for _ in range(64):
        found.add(failed((6, 0), NOW, lambda bits: next(drawn) << bits - 6)[1] - NOW)
    assert len(found) == 64
    assert min(found) == 30 and max(found) > 3500


def test_a_refusal_goes_straight_to_the_longest_delays():
    assert failed(FRESH, NOW, highest, refused=True) == (7, NOW + 3599)


def test_not_due_before_its_time_and_due_from_then_on():
    state = failed(FRESH, NOW, lowest)
    assert not due(state, NOW)
    assert not due(state, NOW + 29)
    assert due(state, NOW + 30)
    assert due(state, NOW + 10_000)


def test_a_clock_set_back_does_not_silence_the_node():
    state = failed(FRESH, NOW, highest)
    assert due(state, NOW - 86_400)
    assert due(state, 0)


def test_the_count_stays_small_over_a_long_outage():
    state = FRESH
    for _ in range(1000):
        state = failed(state, NOW, highest)
    assert state[0] == 7
