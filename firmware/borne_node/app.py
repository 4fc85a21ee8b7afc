"""One wake of the node: sense, gate, report, outbox, link, sleep."""

import struct

from borne_node import commands, health, link, power, sense, settings
from borne_node.chips.pulses import settle
from borne_node.errors import NodeError, SensorFault, SettingsError, StorageError
from borne_node.outbox import Outbox
from borne_node.post import NoOutbox, Post
from borne_node.privacy import policy
from borne_node.privacy.drbg import Drbg
from borne_node.privacy.gate import Gate
from borne_node.privacy.ledger import Ledger
from borne_node.report import codec, schema

# Cause of the last reset, unix second of the next health report, reports lost; then what post.py remembers.
_MEMORY = "<BIHBII"
_FORGOTTEN = (0, 0, 0, 0, 0, 0)
_OUTBOX = "outbox"

_CRASHES_MOST = 3
_AFTER_CRASH_MS = 60_000


class Node:
    def __init__(self, board, given):
        self.board, self.settings, self.clock, self.memory = board, given, board.clock, board.memory
        self.cause, self.health_at, lost, *post = recall(self.memory)
        if not board.slept:
            self.cause, self.health_at = board.reset_cause, 0
        self.drbg = Drbg(board.entropy, board.nvs)
        self.sensor = sense.build(given, board, self.memory.read("sensor"))
        self.gate = Gate(
            policy.row(given["kind"], given["profile"]),
            given,
            self.drbg,
            Ledger(board.nvs),
            self.memory.read("gate"),
            None if board.slept else self.clock.now(),
        )
        make_link = lambda: link.build(given, board)  # noqa: E731
        self.post = Post(open_outbox(), make_link, self.clock, self.drbg, board.entropy, tuple(post))
        self.post.lost = lost
        self.reboot = False

    def wake(self):
        """Do what is due; returns the unix second of the next wake."""
        for released in self.observe():
            self.report(released)
        if self.clock.now() >= self.health_at:
            self.send_health()
        self.post.deliver(lambda port, payload: commands.obey(self, port, payload))
        # After sending, because the time that drawing noise takes tells how large the noise is.
        self.gate.prepare()
        return self.next_wake()

    def observe(self):
        """Read the sensor; the gate says what may be known of it, which most of the time is nothing."""
        try:
            reading = self.sensor.read(self.clock.now())
        except SensorFault as fault:
            print("borne: %s" % fault)
            return self.gate.failed(fault, self.clock.now())
        return self.gate.add(reading, self.clock.now())

    def report(self, released):
        port, window, values = released
        history = self.gate.history(port, window) if schema.row(port)[3] else None
        self.post.keep(port, codec.encode(port, window, values, history))

    def send_health(self):
        self.post.keep(*health.report(self.board, self.settings, self.cause, self.post.dropped))
        self.health_at = self.clock.now() + health.PERIOD_S

    def next_wake(self):
        now = self.clock.now()
        attempt = self.post.next_attempt(now)
        wake = self.gate.next_wake(now)
        return wake if attempt is None else min(wake, attempt)

    def remember(self):
        """Put into RTC memory what the next wake needs; it is RAM, and gone with the power."""
        self.memory.write("sensor", self.sensor.state())
        self.memory.write("gate", self.gate.state())
        self.memory.write(
            "app", struct.pack(_MEMORY, self.cause, self.health_at, self.post.lost, *self.post.memory)
        )
        self.memory.write("crashes", b"\0")
        self.memory.commit()


def run(board):
    """Wake once, then sleep. A node that cannot work says why and stays reachable at the prompt."""
    try:
        given = settings.load()
    except SettingsError as problem:
        return board.stay("%s; provision this node (again)" % problem)
    board.watch()
    try:
        node = Node(board, given)
        until = node.wake()
        pin = wake_pin(node)
        node.remember()
    except KeyboardInterrupt:
        return board.stay("interrupted by a host")
    except Exception as error:
        return after_crash(board, error)
    if node.reboot:
        return board.reset()
    return board.deep_sleep(power.sleep_ms(node.clock.now(), until), pin)


def open_outbox():
    try:
        return Outbox(_OUTBOX)
    except StorageError as problem:
        print("borne: %s" % problem)
        return NoOutbox()


def wake_pin(node):
    """The presence sensor's pin, when it is low and can wake the node by going high."""
    pin = getattr(node.sensor, "wake_pin", None)
    return pin if pin is not None and settle(pin, node.clock) else None


def after_crash(board, error):
    """Try again after a minute; after three failed wakes in a row stay at the prompt, where a host can help."""
    # The text of a foreign exception may hold a raw value; its class does not.
    reason = str(error) if isinstance(error, NodeError) else type(error).__name__
    crashes = (board.memory.read("crashes") or b"\0")[0] + 1
    print("borne: failed wake %d: %s" % (crashes, reason))
    board.memory.write("crashes", bytes((crashes,)))
    board.memory.commit()
    if crashes >= _CRASHES_MOST:
        return board.stay("%d wakes failed in a row, the last by %s" % (crashes, reason))
    return board.deep_sleep(_AFTER_CRASH_MS)


def recall(memory):
    kept = memory.read("app")
    return struct.unpack(_MEMORY, kept) if kept and len(kept) == struct.calcsize(_MEMORY) else _FORGOTTEN
