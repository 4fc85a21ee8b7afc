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
    assert one.lines == again.lines
    assert one.lines != other.lines


def test_a_third_of_all_frames_may_vanish():
    street = play(seed=4, nodes=4, days=1.0, loss=0.33)
    assert street.broken == [] and street.errors == []
    assert street.delivery > 0.55
    assert all(line.joined >= 1 for line in street.lines)
