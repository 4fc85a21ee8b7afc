# micropython only
# heap 1000wK
"""Wakes that fail, by exception and by reset, and what a node in the street does then."""

import gc
import os

from node import POWER_ON, WATCHDOG, Node

from borne_node.report import codec, schema

gc.threshold(500_000)
SOFT = 5
HOUR_MS = 3_600_000


class Bite(BaseException):
    """The watchdog: nothing on the node catches it, and nothing runs after it."""


def broken(node):
    node.distance = lambda t: 1 // 0


def bite(node, cause=WATCHDOG, keeps_memory=True):
    """A wake that a reset ends."""

    def distance(t):
        raise Bite

    good, node.distance = node.distance, distance
    try:
        node.wake()
    except Bite:
        pass
    node.distance, node.cause = good, cause
    if not keeps_memory:
        node.rtc(b"")


def health(node):
    """The reset causes of the health reports so far."""
    seen = [payload for topic, payload in node.broker.published if topic.endswith("/%d" % schema.HEALTH)]
    return [codec.decode(schema.HEALTH, payload).values[2] for payload in seen]


def log():
    with open("log") as file:
        return file.read().split("\n")[:-1]


def naps(node, count):
    return [node.wake().ended for _ in range(count)]


def test_three_exceptions_in_a_row_and_then_one_try_an_hour():
    node = Node("fill", depth_mm=1200)
    node.wake()
    broken(node)
    ended = naps(node, 5)
    assert [what for what, _ in ended] == ["sleep"] * 5
    assert [ms for _, (ms, _) in ended] == [60_000, 60_000, HOUR_MS, HOUR_MS, HOUR_MS]
    assert node.windows == []  # nobody is there when a node wakes by itself
    assert log()[0].endswith("wake 1 failed: ZeroDivisionError")
    assert len(log()) == 5


def test_a_good_wake_forgives():
    node = Node("fill", depth_mm=1200)
    good = node.distance
    for _ in range(3):
        broken(node)
        assert [ms for _, (ms, _) in naps(node, 2)] == [60_000, 60_000]
        node.distance = good
        assert node.wake().ended[1][0] != 60_000


def test_a_node_in_safe_mode_comes_back_and_tells_the_cause():
    node = Node("fill", depth_mm=1200)
    node.wake()
    for _ in range(3):
        bite(node)
    assert health(node) == [POWER_ON]
    assert node.wake().ended == ("sleep", (HOUR_MS, None))
    assert node.windows == [300]
    node.wake()
    assert health(node) == [POWER_ON, WATCHDOG]
    assert node.wake().ended[1][0] < HOUR_MS * 5
    assert node.nvs.durable["failed"][:3] == bytes(3)


def test_brown_outs_empty_the_memory_and_count_all_the_same():
    node = Node("fill", depth_mm=1200)
    for _ in range(3):
        bite(node, POWER_ON, keeps_memory=False)
        assert node.windows == []
    assert node.wake().ended == ("sleep", (HOUR_MS, None))
    assert node.windows == [300]


def test_watchdogs_of_wakes_from_sleep_count_by_memory():
    node = Node("fill", depth_mm=1200)
    node.wake()
    bite(node)
    node.cause = 4
    bite(node)  # as if the reset had looked like a wake
    bite(node)
    node.wake()
    assert node.windows == [300]


def test_a_host_that_comes_gets_the_prompt_and_three_new_tries():
    node = Node("fill", depth_mm=1200)
    for _ in range(3):
        bite(node)
    node.host_comes = True
    board = node.wake()
    assert board.ended is None  # main.py ends, and the prompt comes
    node.host_comes = False
    node.cause = POWER_ON
    assert node.wake().ended[1][0] != HOUR_MS
    assert node.windows == [300]


def test_other_firmware_gets_three_tries_of_its_own():
    node = Node("fill", depth_mm=1200)
    for _ in range(3):
        bite(node, POWER_ON, keeps_memory=False)
    with open("version.json", "w") as file:
        file.write('{"files":"other"}')
    node.wake()
    assert node.windows == []


def test_an_interrupted_wake_did_not_fail():
    node = Node("fill", depth_mm=1200)

    def distance(t):
        raise KeyboardInterrupt

    good, node.distance = node.distance, distance
    for _ in range(5):
        assert node.wake().ended[0] == "stay"
        node.cause = WATCHDOG  # left at its prompt for an hour
    node.distance = good
    node.wake()
    assert node.windows == [] and health(node) == [WATCHDOG]


def test_a_node_without_settings_is_no_failure():
    node = Node("fill", depth_mm=1200)
    os.remove("settings.json")
    for _ in range(5):
        node.cause = POWER_ON
        assert node.wake().ended[0] == "stay"
    assert node.windows == []


def test_flash_is_written_at_resets_only():
    node = Node("fill", depth_mm=1200)
    node.wake()
    writes = []
    keep = node.nvs.write
    node.nvs.write = lambda name, data: (writes.append(name), keep(name, data))
    node.live(24 * 3600)
    assert "failed" not in writes
    node.cause = SOFT
    node.wake()
    assert writes.count("failed") == 2


def test_the_log_keeps_eight_lines_and_never_costs_a_wake():
    node = Node("fill", depth_mm=1200)
    broken(node)
    naps(node, 12)
    assert len(log()) == 8
    with open("log", "wb") as file:
        file.write(b"\xff\xfe" * 400)
    assert node.wake().ended[0] == "sleep"
    os.remove("log")
    os.mkdir("log")
    assert node.wake().ended[0] == "sleep"
    os.rmdir("log")


def test_a_store_that_fails_does_not_stop_a_wake():
    node = Node("fill", depth_mm=1200)

    def write(name, data):
        if name == "failed":
            raise OSError(5)
        return keep(name, data)

    keep, node.nvs.write = node.nvs.write, write
    assert node.wake().ended[0] == "sleep"
