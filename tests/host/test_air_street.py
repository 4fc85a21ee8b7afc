"""A street of LoRaWAN nodes in short: their own stack and drivers, simulated chips, air, gateways, network server."""

from __future__ import annotations

from lorawan_week import play


def test_nodes_join_send_adapt_and_keep_the_law():
    street = play(seed=3, nodes=6, days=1.0)
    assert street.broken == []
    assert all(1 <= line.joined <= 3 for line in street.lines)
    assert street.delivery > 0.9
    assert street.errors == []
    # ADR has left the slow rates where the signal allows it, and the network has seen every data rate change.
    assert max(line.airtime_s for line in street.lines) <= 30 * 1.05


def test_the_same_seed_is_the_same_street():
    one, again, other = (play(seed=seed, nodes=3, days=0.3) for seed in (5, 5, 6))
    assert one == again
    assert one.lines != other.lines


def test_the_same_seed_is_the_same_day_of_fifty_nodes():
    # `make bench` plays the week of these; every collision and every loss has to come again.
    one, again = (play(seed=9, nodes=50, days=1.0) for _ in range(2))
    assert one == again
    assert one.broken == [] and one.errors == []
    assert all(1 <= line.joined <= 4 for line in one.lines)
    assert one.delivery > 0.85
    assert any(reason == "collision" for line in one.lines for reason, _ in line.lost)
    assert max(line.airtime_s for line in one.lines) <= 30 * 1.05
    # ADR has settled: most are at the fastest rate by the evening.
    assert sum(line.sf == 7 for line in one.lines) > 25


def test_a_third_of_all_frames_may_vanish():
    street = play(seed=4, nodes=4, days=1.0, loss=0.33)
    assert street.broken == [] and street.errors == []
    assert street.delivery > 0.55
    assert all(line.joined >= 1 for line in street.lines)


def test_a_network_with_more_channels_that_answers_in_both_windows():
    more = (867_100_000, 867_300_000, 867_500_000, 867_700_000, 867_900_000)
    street = play(seed=8, nodes=3, days=1.0, channels=more, rx2_every=2, status_every=2)
    assert street.broken == [] and street.errors == []
    assert street.delivery > 0.9
    channels = {8681, 8683, 8685, 8671, 8673, 8675, 8677, 8679}
    # A node that reports every quarter of an hour has used every channel, also after LinkADRReq.
    assert street.used[0] == channels and all(used <= channels for used in street.used)
    for heard in street.heard:
        second = heard.get(869_525_000, 0)
        assert second >= 1 and sum(heard.values()) - second >= 1, street.heard
    assert street.heard[0].keys() & set(more)
    assert all(status is not None and status[0] == 200 for status in street.status)
