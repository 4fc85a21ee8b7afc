# micropython only
# heap 1000wK
"""Whole wakes of whole nodes: sense, gate, report, outbox, link, sleep."""

import gc
import json
import os

from node import NOW, POWER_ON, Node
from silicon.pir import Pir

from borne_node import settings
from borne_node.chips.pulses import SIZE, restore
from borne_node.privacy import policy
from borne_node.privacy.gate import _STATE
from borne_node.records import Records
from borne_node.report import codec, schema
from borne_node.sealed import unseal

HOUR = 3600

# Hundreds of boots in one process; collecting as often as the board does would take minutes.
gc.threshold(500_000)


def stored():
    """The settings on the node's flash."""
    with open(settings.FILE, "rb") as file:
        return settings.parse(file.read())


def values_of(sent, port):
    return [codec.decode(p, payload) for p, payload in sent if p == port]


def test_the_first_wake_says_how_the_node_is():
    node = Node("fill", depth_mm=1200, offset_mm=100)
    board = node.wake()
    assert board.ended[0] == "sleep" and board.watched
    ((topic, payload),) = node.broker.published
    assert topic == "borne/v1/fill-1/up/1"
    battery, temperature, cause, *_ = codec.decode(schema.HEALTH, payload).values
    assert (battery, temperature, cause) == (3700, 17, POWER_ON)
    assert codec.decode(schema.HEALTH, payload).values[7] == settings.digest(node.settings)[:4]
    assert not node.wlan.on


def test_a_container_reports_six_times_a_day_in_steps_of_five():
    node = Node("fill", depth_mm=1200, offset_mm=100)
    node.live(4 * HOUR)  # the first window was not seen whole
    node.distance = lambda t: 100 + 1200 * 0.58
    sent = node.live(24 * HOUR)
    frames = values_of(sent, schema.FILL)
    assert len(frames) == 6
    assert frames[-1].values[:2] == (40, 17)
    assert len({len(payload) for port, payload in sent if port == schema.FILL}) == 1


def test_an_emptying_arrives_and_outlives_a_power_cut():
    node = Node("fill", depth_mm=1200, offset_mm=100)
    truck = node.clock.now() + 30 * HOUR
    node.distance = lambda t: 340 if t < truck else 1290
    assert {frame.values[4] for frame in values_of(node.live(30 * HOUR), schema.FILL)} == {None}
    told = values_of(node.live(20 * HOUR), schema.FILL)
    node.rtc(b"")
    node.cause = POWER_ON
    told += values_of(node.live(12 * HOUR), schema.FILL)
    dates = [(frame.window - frame.values[4]) % 256 for frame in told if frame.values[4] is not None]
    assert len(dates) == 5 and set(dates) == {truck // 14400 % 256}


def test_history_repeats_what_was_released():
    node = Node("fill", depth_mm=1200, offset_mm=100)
    node.live(30 * HOUR)
    frames = values_of(node.live(24 * HOUR), schema.FILL)
    earlier = {frame.window: frame.values for frame in frames}
    for back, values in enumerate(frames[-1].history[:3]):
        assert values == earlier[frames[-1].window - 1 - back]


def test_a_silent_sensor_is_a_fault_and_not_a_value():
    node = Node("fill", depth_mm=1200)
    node.live(9 * HOUR)
    node.uart.fail("silent")
    sent = node.live(8 * HOUR)
    assert not values_of(sent, schema.FILL)[1:]
    assert values_of(sent, schema.FAULT)[-1].values == (2, None, 0)


def test_a_full_street_and_an_empty_one_send_the_same_frames():
    sent = []
    for taken in (False, True):
        node = Node("parking", bays=4)
        node.live(HOUR)
        for field in node.fields:
            field[2] += 40.0 if taken else 0.0
        frames = node.live(3 * HOUR)
        sent.append([(port, len(payload)) for port, payload in frames])
    assert sent[0] == sent[1] and len(sent[0]) >= 12


def test_a_broker_away_for_hours_loses_nothing():
    node = Node("parking", bays=4)
    node.live(HOUR)
    peers, node.net.peers = node.net.peers, {}
    assert node.live(6 * HOUR) == []
    node.net.peers = peers
    windows = [frame.window for frame in values_of(node.live(2 * HOUR), schema.ZONE)]
    assert len(windows) >= 24 + 6
    assert windows == list(range(windows[0], windows[0] + len(windows)))


def presence(passages):
    """What a light node says of the second hour when somebody passes `passages` times in it."""
    node = Node("light", now=NOW + 6 * HOUR)  # by day: at night eight hours are one window
    node.pir = Pir([NOW + 8 * HOUR + 30 + 60 * n for n in range(passages)])
    frames = {frame.window: frame.values for frame in values_of(node.live(4 * HOUR), schema.LIGHT)}
    return frames[NOW // HOUR + 8 & 0xFF]


def test_people_are_counted_while_the_node_sleeps():
    busy = presence(50)
    assert 30 <= busy[0] <= 70  # Laplace of scale 2: beyond 20 once in 44,000 draws
    assert busy[1] == schema.lux_class(200)


def test_few_people_are_no_number():
    assert presence(1)[0] is schema.SUPPRESSED


def test_without_a_clock_nothing_is_released():
    node = Node("fill", depth_mm=1200)
    node.clock.set(946_684_800)  # the ESP32 after power-on: 2000-01-01
    node.clock.is_set = False
    node.told = None
    for _ in range(10):
        node.wake()
    assert {int(topic.split("/")[-1]) for topic, _ in node.broker.published} <= {schema.HEALTH}


def test_a_clock_that_nobody_sets_does_not_keep_the_radio_on():
    node = Node("parking", bays=4)
    node.clock.set(946_684_800)
    node.clock.is_set = False
    node.told = None
    wakes = 0
    while node.clock.now() < 946_684_800 + 12 * HOUR:
        node.wake()
        wakes += 1
    assert wakes >= 12 * 12
    assert node.asked <= 2 * 30  # twice a session; sessions half an hour apart on average in the end


def test_damaged_settings_leave_the_node_reachable():
    node = Node("fill", depth_mm=1200)
    with open(settings.FILE, "w") as file:
        file.write('{"kind":')
    kind, reason = node.wake().ended
    assert kind == "stay" and "no JSON" in reason
    os.remove(settings.FILE)
    kind, reason = node.wake().ended
    assert kind == "stay" and "missing" in reason


def test_a_wake_that_works_forgives_the_failed_ones():
    node = Node("fill", depth_mm=1200)
    good, node.distance = node.distance, lambda t: 1 // 0
    node.wake()
    node.wake()
    node.distance = good
    node.wake()
    node.distance = lambda t: 1 // 0
    assert node.wake().ended[0] == "sleep"


def test_a_full_filesystem_still_reports():
    node = Node("fill", blocks=14, depth_mm=1200)
    try:
        with open("full", "wb") as file:
            while True:
                file.write(bytes(512))
                file.flush()
    except OSError:
        pass
    node.live(9 * HOUR)
    assert values_of([(int(t.split("/")[-1]), p) for t, p in node.broker.published], schema.FILL)


def test_a_downlink_is_obeyed_and_echoed():
    node = Node("fill", depth_mm=1200)
    node.wake()
    setting = schema.SETTABLE.index("offset_mm")
    command = codec.encode(schema.COMMAND, None, (schema.SET, setting, 150))
    node.broker.queue("fill-1", "borne/v1/fill-1/down/%d" % schema.COMMAND, command)
    sent = node.live(9 * HOUR)
    echo = values_of(sent, schema.SETTINGS)[-1].values
    assert echo[5] == 150
    assert stored()["offset_mm"] == 150


def test_a_downlink_that_is_no_command_changes_nothing():
    node = Node("fill", depth_mm=1200)
    node.wake()
    before = settings.canonical(stored())
    for port, payload in ((5, b""), (5, b"\xff\xff"), (5, b"\x01\x00\xff\xff"), (99, b"\x01")):
        node.broker.queue("fill-1", "borne/v1/fill-1/down/%d" % port, payload)
    node.live(9 * HOUR)
    assert settings.canonical(stored()) == before


def test_what_was_released_is_sent_again_on_request_and_nothing_else():
    node = Node("parking", bays=4)
    first = {frame.window: frame.values for frame in values_of(node.live(3 * HOUR), schema.ZONE)}
    newest = max(first)
    for port, start, count in (
        (schema.ZONE, newest - 3, 3),
        (schema.LIVE, 0, 255),
        (schema.SETTINGS, 0, 9),
        (99, 0, 1),
    ):
        command = codec.encode(schema.COMMAND, None, (schema.RESEND, port, start, count))
        node.broker.queue("parking-1", "borne/v1/parking-1/down/%d" % schema.COMMAND, command)
    again = {}
    for frame in values_of(node.live(HOUR), schema.ZONE):
        if not frame.history:
            again[frame.window] = frame.values
    assert again == {window: first[window] for window in range(newest - 3, newest)}


def test_a_downlink_that_asks_for_a_weaker_policy_is_refused():
    node = Node("parking", bays=4)
    node.live(HOUR)
    before, table = settings.canonical(stored()), policy.digest()
    # There is no setting 2 or later; what there is belongs to containers; and what weakens is no setting at all.
    weaker = [bytes((schema.SET, n, 0, 1)) for n in range(256)]
    assert not [name for name in schema.SETTABLE if name not in ("depth_mm", "offset_mm")]
    for n in range(0, 256, 17):
        node.broker.queue("parking-1", "borne/v1/parking-1/down/5", weaker[n])
    node.broker.queue("parking-1", "borne/v1/parking-1/down/5", weaker[1])
    node.live(2 * HOUR)
    assert settings.canonical(stored()) == before
    assert values_of(node.live(24 * HOUR), schema.HEALTH)[-1].values[6] == table[:4]


def impossible(change):
    """What a container says whose settings file somebody changed by hand."""
    node = Node("fill", depth_mm=1200)
    given = stored()
    given.update(change)
    with open(settings.FILE, "wb") as file:
        file.write(settings.canonical(given))
    return node.wake().ended


def test_an_impossible_geometry_does_not_crash_the_node():
    for change in (
        {"depth_mm": 0},
        {"depth_mm": -5},
        {"depth_mm": 4900},
        {"depth_mm": 4000, "offset_mm": 900},
        {"offset_mm": -1},
        {"container": "barrel"},
        {"sensor": "mb7389"},
        {"depth_mm": "1200"},
    ):
        ended = impossible(change)
        assert ended[0] == "stay" and "provision this node" in ended[1], (change, ended)


def test_an_impossible_geometry_by_downlink_is_refused():
    node = Node("fill", depth_mm=1200)
    node.wake()
    before = settings.canonical(stored())
    for setting, value in (("depth_mm", 0), ("depth_mm", 4900), ("depth_mm", 65535), ("offset_mm", 1001)):
        command = codec.encode(schema.COMMAND, None, (schema.SET, schema.SETTABLE.index(setting), value))
        node.broker.queue("fill-1", "borne/v1/fill-1/down/5", command)
    node.live(9 * HOUR)
    assert settings.canonical(stored()) == before


def test_a_reboot_by_downlink():
    node = Node("fill", depth_mm=1200)
    command = codec.encode(schema.COMMAND, None, (schema.REBOOT,))
    node.broker.subscriptions["fill-1"] = "borne/v1/fill-1/down/+"
    node.broker.queue("fill-1", "borne/v1/fill-1/down/5", command)
    assert node.wake().ended[0] == "reset"


def test_health_comes_daily():
    node = Node("fill", depth_mm=1200)
    assert len(values_of(node.live(49 * HOUR), schema.HEALTH)) == 3


def test_dead_randomness_releases_nothing_that_was_measured():
    node = Node("parking", bays=4)
    node.entropy.dead = True
    for frame in values_of(node.live(3 * HOUR), schema.ZONE):
        assert frame.values[0] is schema.SUPPRESSED
        assert all(values is None or values[0] is schema.SUPPRESSED for values in frame.history)


def test_a_lamp_and_its_energy_arrive():
    node = Node("light", lamp="ina226", lamp_w=60)
    node.lux = lambda t: 8.0
    node.live(4 * HOUR)
    node.watts = 30.0
    node.live(2 * HOUR)
    _, _, lamp, dimming, energy = values_of(node.live(9 * HOUR), schema.LIGHT)[-1].values
    # 30 W through the night block of eight hours, or through one by day.
    assert (lamp, dimming) == (2, 50) and energy in (30, 240)


def test_a_container_that_lies_says_so_in_its_report():
    node = Node("fill", depth_mm=1200, offset_mm=100, tilt="lis3dh")
    node.live(8 * HOUR)
    assert values_of(node.live(8 * HOUR), schema.FILL)[-1].values[2:] == (0, 0, None)
    node.gravity = (1.0, 0.0, 0.0)
    node.distance = lambda t: None
    level, _, tilt, *_ = values_of(node.live(9 * HOUR), schema.FILL)[-1].values
    assert (level, tilt) == (None, 1)


def test_a_power_cut_keeps_what_is_known_of_empty_bays():
    node = Node("parking", bays=1, profile="live")
    for field in ((), (15.0, -12.0, -30.0), (), (15.0, -12.0, -30.0)):
        for axis in range(3):
            node.fields[0][axis] = (21.0, 1.0, 43.0)[axis] + (field[axis] if field else 0.0)
        node.live(180)
    node.rtc(b"")
    node.cause = POWER_ON
    frames = values_of(node.live(3700), schema.LIVE)
    assert frames and all(frame.values[0] == 1 for frame in frames)


def test_a_container_that_falls_tells_at_once():
    node = Node("fill", depth_mm=1200, offset_mm=100, tilt="lis3dh")
    node.live(5 * HOUR)
    fell = node.clock.now() + HOUR // 2
    node.falls(fell)
    heard = []
    while not heard and node.clock.now() < fell + 2 * HOUR:
        woken = node.clock.now()
        heard = values_of(node.live(1), schema.ALARM)
    assert [frame.values for frame in heard] == [(2, 0)]
    assert woken - fell < 60
    # It lies for days: no storm, and it is told once.
    wakes = node.wakes
    assert not values_of(node.live(24 * HOUR), schema.ALARM)
    assert node.wakes - wakes < 24 + 8


def counted(node):
    """Triggers of the open window, and of who came since its last reading."""
    records = Records(node.rtc)
    body = json.loads(unseal(records.read("gate"))[4:])
    _, unread = restore(records.read("sensor")[:SIZE])
    return body[_STATE.index("start")], body[_STATE.index("triggers")] + unread


def test_people_who_pass_while_the_node_reports_are_counted():
    # One every 31 seconds, so that one comes in each half minute for which a node waits before it sends.
    passages = [NOW + 10 + 31 * n for n in range(4 * 116)]
    node = Node("light", refractory_s=30)
    node.pir = Pir(passages)
    node.live(3 * HOUR + 1200)
    start, triggers = counted(node)
    came = [at for at in passages if start <= at < node.clock.now()]
    assert len(came) > 30 and triggers == len(came), (len(came), triggers)


def test_a_lamp_follows_people_at_once_and_the_node_stays_up():
    node = Node("light", dimmer="pwm", dim_percent=20, dim_hold_s=60)
    passages = [600, 2000, 2030]
    node.pir = Pir([NOW + s for s in passages])
    sent = node.stay_up(8 * HOUR)
    steps = [(at - NOW, percent) for at, percent in node.dimmer.seen]
    assert steps[0][1] == 20
    bright = [at for at, percent in steps[1:] if percent == 100]
    dark = [at for at, percent in steps[1:] if percent == 20]
    assert bright == [600, 2000] and 660 <= dark[0] <= 664 and 2090 <= dark[1] <= 2096
    frames = values_of(sent, schema.LIGHT)
    assert len(frames) >= 3 and node.fed > 10_000


def test_a_node_without_a_pin_for_the_dimmer_says_so():
    node = Node("light", dimmer="dc10")
    node.dimmer = None
    for _ in range(3):
        board = node.wake()
    assert board.ended == ("sleep", (3_600_000, None)), board.ended
    with open("log") as file:
        assert "dimmer" in file.read()
