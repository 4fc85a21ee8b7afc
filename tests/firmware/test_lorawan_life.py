"""A node's years: airtime, adaptive data rate, deep sleep and power cuts."""

from clock import FakeClock
from lorawan_network import Audit, Violation, asked
from lorawan_node import Entropy, joined
from store import PowerCut
from support import raises

from borne_node.errors import LinkDown
from borne_node.link.lorawan import adr, commands, frames, regions
from borne_node.link.lorawan.air import NotBefore
from borne_node.link.lorawan.duty import DutyCycle, Ledger


def request(command, *values):
    return commands.pack(commands.DOWNLINK, command, *values)


# Airtime


def test_ledger_waits_until_enough_is_older_than_the_window():
    ledger = Ledger(600, 7)
    assert ledger.wait(100, 100, 100_000) == 0
    ledger.spend(60, 100_000)
    ledger.spend(40, 100_900)
    # Slots 166 and 168; the first leaves when slot 173 begins, the second with slot 175.
    assert ledger.wait(60, 100, 101_000) == 173 * 600 - 101_000
    assert ledger.wait(61, 100, 101_000) == 175 * 600 - 101_000
    assert ledger.wait(60, 100, 173 * 600) == 0
    # More than the limit alone is sent into an empty window.
    assert ledger.wait(500, 100, 173 * 600) == 175 * 600 - 173 * 600
    assert ledger.wait(500, 100, 175 * 600) == 0


def greedy(region, hours, rate, length, fair_use_s=0, seed=1):
    """A node that sends whenever it may, and sleeps deeply in between."""
    node = joined(region, seed=seed, fair_use_s=fair_use_s)
    node.audit = Audit(node.plan, node.ether, 1_000_000 * fair_use_s)
    end = node.clock.now() + hours * 3600
    while node.clock.now() < end:
        try:
            node.mac.session.rate = rate
            node.mac.send(1, bytes(length))
        except NotBefore as refused:
            assert refused.when > node.clock.now()
            node.deep_sleep(refused.when - node.clock.now())
    return node


def test_the_duty_cycle_is_kept_in_every_hour():
    for rate, length, most in ((5, 200, 36), (0, 40, 36), (3, 1, 36)):
        spent = greedy("EU868", 5, rate, length).audit.spent_us
        # Lawful, and not timid either: most of what five hours allow is used.
        assert 5 * most * 0.8e6 <= spent <= 5 * most * 1e6, (rate, spent)


def test_the_audit_sees_a_violation():
    node = joined()
    strict = Audit(node.plan, node.ether)
    for k in range(180):
        strict.hear(b"", k * 20_000_000, k * 20_000_000 + 200_000, 868100000)
    with raises(Violation):
        strict.hear(b"", 3_599_000_000, 3_599_200_000, 868300000)
    with raises(Violation):
        Audit(node.plan, node.ether, 1).hear(b"", 0, 2, 868100000)


def test_the_hour_is_kept_wherever_it_starts():
    clock = FakeClock()
    duty = DutyCycle(regions.load("EU868").bands, clock)
    clock.sleep_ms(2 * 3600 * 1000)
    for second in (0, 1, 299, 597):
        # Spend all of it late in a slot: none comes back within an hour.
        clock.sleep_ms(1000 * ((600 - duty._at() % 600) % 600 + second))
        start = duty._at()
        duty.spend(2, 36_000_000, 0)
        wait = duty.wait(2, 1_000_000)
        assert 3600 <= wait <= 4200 + 37, (second, wait)
        clock.sleep_ms(1000 * wait)
        assert duty.wait(2, 1_000_000) == 0 and duty._at() - start >= 3600


def test_fair_use_is_kept_in_every_day():
    node = greedy("EU868", 60, 3, 30, fair_use_s=30)
    assert sum(node.mac.duty.day.counts) <= 3_000
    assert node.audit.spent_us >= 2 * 30_000_000


def test_regions_without_a_duty_cycle_are_not_held_up():
    node = joined("US915")
    for _ in range(50):
        node.send(payload=bytes(200), wait_s=1) if node.mac.room() >= 200 else node.send(wait_s=1)
    assert node.network.arrived == 50


def test_setting_the_clock_neither_frees_nor_freezes_the_account():
    for leap in (10 * 365 * 86400, -10 * 365 * 86400):
        node = joined()
        node.mac.session.rate = 0
        with raises(NotBefore):
            while True:
                node.mac.send(1, bytes(51))
        node.clock.set(node.clock.now() + leap)
        with raises(NotBefore) as caught:
            node.mac.send(1, bytes(51))
        assert 0 < caught.value.when - node.clock.now() <= 4200
        node.clock.sleep_ms(1000 * (caught.value.when - node.clock.now()))
        node.mac.send(1, bytes(51))


def test_the_account_of_an_unset_clock_does_not_run_while_asleep():
    clock = FakeClock(now=1000, is_set=False)
    bands = regions.load("EU868").bands
    duty = DutyCycle(bands, clock)
    duty.spend(2, 18_000_000, 0)
    state = duty.state()
    assert duty.wait(2, 1_000_000) > 0
    clock.set(1_790_000_000)
    assert DutyCycle(bands, clock, state=state).wait(2, 1_000_000) > 0


def test_after_a_power_cut_half_of_the_hour_is_taken_as_used():
    duty = DutyCycle(regions.load("EU868").bands, FakeClock())
    assert duty.wait(2, 17_000_000) == 0
    assert duty.wait(2, 19_000_000) > 0
    assert duty.wait(4, 100_000_000) == 0
    for broken in (b"", b"x", duty.state()[:-1]):
        assert DutyCycle(regions.load("EU868").bands, FakeClock(), state=broken).wait(2, 19_000_000) > 0


# Adaptive data rate


def silent(node, uplinks):
    """Uplinks that nobody hears; (rate, power, ADRACKReq) of each."""
    seen = []
    node.network.lose_up = lambda: True
    for _ in range(uplinks):
        del node.ether.up[:]
        node.send(wait_s=900)
        frame, _, _, _, sf, _, power = node.ether.up[0]
        seen.append((12 - sf, power, bool(frame[5] & frames.ADR_ACK_REQ)))
    node.network.lose_up = lambda: False
    return seen


def without_own_fall_back(node):
    node.mac.adr.wants_probe = lambda: False
    return node


def test_back_off_of_the_specification():
    # TS001-1.0.4, 4.3.1.1, table of the ADR back-off: 64 in silence, 32 with ADRACKReq, then a step every 32.
    node = without_own_fall_back(joined())
    node.mac.session.power = 4
    seen = silent(node, 64 + 32 * 8)
    assert seen[63] == (5, 8, False)
    assert seen[64] == (5, 8, True)
    assert seen[95] == (5, 8, True)
    assert seen[96] == (5, 16, True)
    for step in range(1, 6):
        assert seen[96 + 32 * step][:2] == (5 - step, 16), step
    node.send()
    assert node.last.control & frames.ADR_ACK_REQ
    node.answer()
    node.send()
    node.send()
    assert not node.last.control & frames.ADR_ACK_REQ


def test_back_off_enables_the_default_channels_again():
    node = without_own_fall_back(joined())
    node.mac.session.channels.define(3, 867100000, 0, 5)
    node.mac.session.channels.mask = 8
    node.mac.session.transmissions = 2
    node.mac.session.rate = 0
    node.network.channels.define(3, 867100000, 0, 5)
    silent(node, 64 + 33)
    node.deep_sleep(900)
    assert node.mac.session.channels.mask == 15
    assert node.mac.session.transmissions == 1


def test_adr_may_be_switched_off():
    node = joined(adr=False)
    silent(node, 100)
    node.send()
    assert not node.last.control & (frames.ADR | frames.ADR_ACK_REQ)
    assert node.mac.session.rate == 5


def test_a_car_above_the_node():
    """The own fall-back: the link gets 15 dB worse; SF10 would get through. How many uplinks until it does?"""
    node = joined()
    node.mac.session.power = 5

    def lost():
        return node.ether.up[-1][4] < 10

    for _ in range(40):
        node.send()
    assert node.mac.session.rate == 5 and node.mac.session.power == 5
    node.network.lose_up = lost
    uplinks = 0
    while node.ether.up[-1][4] < 10:
        node.send()
        uplinks += 1
    # At most 32 until the first probe, two misses for each of four steps.
    assert uplinks <= 32 + 1 + 2 * 4
    # Alone, the specification would have needed 64 + 32 * 4.
    assert node.mac.session.power == 0
    assert node.mac.adr.misses == 0


def test_a_lost_session_is_noticed_only_when_everything_was_tried():
    node = joined()
    silent(node, 64 + 32)
    assert not node.mac.adr.lost
    silent(node, 300)
    assert node.mac.adr.lost
    node.deep_sleep()
    assert node.mac.adr.lost
    node.answer()
    node.send()
    assert not node.mac.adr.lost


def test_probes_are_few():
    node = joined()
    probes = 0
    for _ in range(960):
        node.send()
        probes += len(asked(node.last))
    # Ten days of a report in 15 minutes: The Things Network wants no more than 10 downlinks a day.
    assert probes <= 31
    assert adr.LIMIT == 64 and adr.DELAY == 32


# Deep sleep and power


def test_counters_run_on_over_deep_sleep_without_touching_the_flash():
    node = joined()
    node.send()
    commits = node.nvs.commits
    for number in range(1, 60):
        node.deep_sleep(900)
        if number % 9 == 0:
            node.answer()
        node.send(wait_s=0)
        assert node.last.count == number
    assert node.nvs.commits == commits


def test_flash_is_written_once_in_64_uplinks():
    node = joined()
    commits = node.nvs.commits
    for _ in range(1000):
        node.deep_sleep(900)
        node.send(wait_s=0)
    assert node.nvs.commits - commits == 16
    assert node.last.count == 999


def test_a_command_is_never_obeyed_twice_over_a_power_cut():
    node = joined()
    node.answer(port=5, payload=b"once")
    assert node.send().payload == b"once"
    data = frames.Data(True, False, node.network.address, 0, 0, b"", 5, b"once")
    old = bytes(frames.build(node.network.network, node.network.application, data))
    node.power_cut()
    node.network.answer = lambda what, end, index, rate: node.network.put(
        old, end, index, node.plan.rx1_rate(rate, 0, False), 1000, 1, node.network.rx2
    )
    node.network.answers = [{}]
    assert node.send() is None


def life(node, uplinks, cut_after, store="nvs"):
    """Uplinks with downlinks, commands and deep sleeps; the power fails at the given operation of a store."""
    entropy = Entropy(5)
    getattr(node, store).cut_after = cut_after
    done = 0
    while done < uplinks:
        done += 1
        dice = entropy(1)[0] % 8
        if dice == 0:
            node.answer(port=5, payload=b"cmd", confirmed=True)
        elif dice == 1:
            node.answer(options=request(commands.LINK_ADR, done % 3, 5, 7, 1))
        elif dice == 2:
            node.answer(port=0, payload=request(commands.RX_TIMING, 1) + request(commands.DEV_STATUS))
        try:
            node.send(wait_s=600)
            left = getattr(node, store).cut_after
            node.deep_sleep(300)
            getattr(node, store).cut_after = left
        except PowerCut:
            node.network.answers = []
            node.power_cut()
            return done
    return done


def test_power_cut_at_every_write_of_many_uplinks():
    # The network raises Violation for a counter used twice and for an uplink of a session that it does not know.
    cut = 0
    node = joined()
    while True:
        if life(node, 90, cut) == 90:
            break
        assert node.mac.joined
        node.send()
        cut += 1
    assert cut >= 30
    assert node.network.sessions == 1
    assert node.network.nonces == {0}


def test_power_cut_at_every_write_to_rtc_memory():
    # What RTC memory holds is lost with the power: each cut is one more cold start from flash.
    node = joined()
    for cut in range(60):
        assert life(node, 150, cut, "rtc") < 150
        assert node.mac.joined
        node.send()
    assert node.network.sessions == 1


def test_a_thousand_uplinks_with_the_power_failing_again_and_again():
    node = joined()
    entropy = Entropy(77)
    sent = 0
    while sent < 1000:
        sent += life(node, 40, entropy(1)[0] % 12)
        assert node.mac.joined
    assert node.network.sessions == 1
    assert node.network.arrived >= 900


def test_a_watchdog_reset_keeps_the_counters_too():
    # machine.reset() keeps the RTC memory: what it holds must be as new as the last frame on the air.
    node = joined()
    for _ in range(5):
        node.send()
    node.radio.fail_mode = "stuck"
    with raises(LinkDown):
        node.send()
    node.radio.fail_mode = None
    node.radio.mode = "standby"
    node.boot()
    node.send()
    assert node.last.count == 6


def test_an_old_rtc_record_is_not_believed():
    node = joined()
    node.send()
    old = dict(node.rtc.durable)
    for _ in range(130):
        node.send()
    node.rtc.durable = old
    node.boot()
    node.send()
    assert node.last.count == 192
    for garbage in (b"", b"\0", bytes(47), bytes(500), b"\xff" * 48):
        node.rtc.durable = {"lorawan": garbage}
        node.boot()
        node.send(wait_s=3600)
