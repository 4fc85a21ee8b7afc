"""One wake of the node: sense, gate, report, outbox, link, sleep. Each step has the heap to itself (steps.py)."""

import hashlib
import json
import struct

from borne_node import power
from borne_node.errors import SensorFault, SettingsError, StorageError
from borne_node.report import markers  # noqa: F401  loaded for good: the same SUPPRESSED in every step
from borne_node.steps import step

_SETTINGS = "settings.json"
_OUTBOX = "outbox"
_HEALTH_S = 24 * 3600
_OVERHEAD = 13  # bytes of a LoRaWAN data frame around its payload (TS001-1.0.4, 4.3): link/lorawan/frames.py

# Cause of the last reset, unix second of the next health report, reports lost, reports waiting; then post.py's:
# failures in a row, unix second of the next attempt, unix second of the last look at the network's clock; then of the
# link: SF (0: bytes cost nothing, or nothing is known yet), bandwidth in Hz, most bytes.
_MEMORY = "<BIHBBIIBIB"
_FORGOTTEN = (0,) * 10

# A light node senses for at most 2.5 s, then waits up to 10 s for its pin (chips/pulses.py); a wake that somebody
# caused just before a frame was due comes first.
_SENSING_S = 30
_POLL_MS = 20


class Node:
    def __init__(self, board, settings):
        self.board, self.settings = board, settings
        self.clock, self.memory = board.clock, board.memory
        self.cause, self.health_at, self.lost, self.waiting, *rest = recall(self.memory)
        self.post, self.rate = rest[:3], rest[3:]
        if not board.slept:
            self.cause, self.health_at = board.reset_cause, 0
        self.began = self.clock.now()
        self.unsaved = []  # reports that the flash did not take: sent in this wake, or lost and counted
        self.seeded = True
        self.again = self.reboot = False
        self.pulses = None  # of a presence sensor: they count on until the node sleeps

    def wake(self):
        """Do what is due. Returns the unix second of the next wake, and the pin that may wake earlier or None."""
        reading, pin = self.sense()
        released, until, due = self.pass_gate(reading)
        if released:
            self.report(released)
        # Never because somebody came by: the air would tell.
        if self.clock.now() >= self.health_at and (released or not self.board.woken_by_pin):
            self.report_health()
        if self.session_is_due():
            self.sit_out(due)
            self.obey(self.deliver())
            self.reseed()
            until = self.clock.now() if self.again else self.look_ahead()
        self.remember()
        return (min(until, self.post[1]) if self.waiting else until), pin

    @step
    def sense(self):
        """A Reading, or the SensorFault in its place; and the pin that may wake the node."""
        from borne_node import sense

        sensor = sense.build(self.settings, self.board, self.memory.read("sensor"))
        try:
            reading = sensor.read(self.clock.now())
        except SensorFault as fault:
            print("borne: %s" % fault)
            reading = fault
        pin = sense.settled(sensor, self.clock)
        self.memory.write("sensor", sensor.state())
        self.pulses = getattr(sensor, "pulses", None)
        return reading, pin

    @step
    def pass_gate(self, reading):
        """What may be known of a reading, mostly nothing, as (port, window, values); the next wake; and when it was
        due.
        """
        gate = self.open_gate()
        due = gate.next_release(self.clock.now())
        released = gate.add(reading, self.clock.now())
        if not released:
            gate.prepare()
        self.memory.write("gate", gate.state())
        return [tuple(one) for one in released], gate.next_wake(self.clock.now()), due

    def sit_out(self, due):
        """Begin to send at a time that does not tell how long sensing took: in the dark, or with somebody there."""
        since = due if due <= self.clock.now() else self.began
        if self.settings["kind"] == "light":
            while since <= self.clock.now() < since + _SENSING_S:
                left = since + _SENSING_S - self.clock.now()
                # Whole seconds at once, then in small steps to the very second.
                self.clock.sleep_ms((left - 1) * 1000 if left > 1 else _POLL_MS)

    @step
    def report(self, released):
        """Make bytes of what was released; they wait in the outbox."""
        from borne_node.past import Past
        from borne_node.report import codec, schema

        outbox, past = self.open_outbox(), Past(self.memory.read("past"))
        for port, window, values in released:
            history = None
            if schema.row(port)[3]:
                history = past.history(port, window)
                past.add(port, window, values)
            self.keep(outbox, port, codec.encode(port, window, values, history, self.room(port)))
        self.memory.write("past", past.state())

    @step
    def report_health(self):
        """Daily, and at start-up."""
        from borne_node import health

        outbox = self.open_outbox()
        self.keep(outbox, *health.report(self, outbox.dropped + self.lost))
        # By the first one's hour, however late a wake is.
        self.health_at = (self.health_at or self.clock.now()) + _HEALTH_S

    def room(self, port):
        """Bytes that a report may have: what its airtime pays for anyway, None where bytes cost nothing."""
        if self.settings["link"] != "lorawan":
            return None
        from borne_node.chips.lora import airtime_us
        from borne_node.report import codec, schema

        sf, bandwidth, most = self.rate
        size = schema.size(port)
        if not sf:
            return size
        return min(
            codec.paid(size, lambda size: airtime_us(sf, bandwidth, size + _OVERHEAD)), max(most, size)
        )

    def session_is_due(self):
        wanted = self.waiting or self.unsaved or not self.clock.is_set or not self.seeded
        return wanted and not self.clock.now() < self.post[1] <= self.clock.now() + power.LONGEST_S

    @step
    def deliver(self):
        """Send what waits and set the clock; returns the downlinks, [(port, payload)]. Failures wait for next time."""
        from borne_node import link
        from borne_node.post import Post

        outbox, was_set = self.open_outbox(), self.clock.is_set
        way = link.build(self.settings, self.board)
        post = Post(self.clock, self.board.entropy, self.post)
        downlinks = post.session(way, outbox, self.unsaved)
        self.post, self.rate = post.memory, way.rate() or self.rate
        self.lost += len(self.unsaved)
        self.unsaved = []
        self.waiting = len(outbox)
        if self.clock.is_set and not was_set:
            # The first report went out by a clock that was years off, and what was read opened no window.
            self.health_at = self.clock.now() + _HEALTH_S
            self.again = True
        return downlinks

    @step
    def reseed(self):
        """Mix fresh entropy into the generator when it is time to, daily; a radio is on while it is drawn."""
        from borne_node.privacy.drbg import Drbg

        drbg = Drbg(self.board.noise, self.board.nvs)
        if drbg.due(self.clock.now()):
            drbg.reseed(self.clock.now())

    @step
    def obey(self, downlinks):
        if downlinks:
            from borne_node import commands

            outbox = self.open_outbox()
            for port, payload in downlinks:
                commands.obey(self, outbox, port, payload)

    @step
    def look_ahead(self):
        """Draw for the next window, after sending: how long that takes tells how large the noise is."""
        gate = self.open_gate()
        gate.prepare()
        self.memory.write("gate", gate.state())
        return gate.next_wake(self.clock.now())

    def open_gate(self):
        from borne_node.privacy import policy
        from borne_node.privacy.drbg import Drbg
        from borne_node.privacy.gate import Gate
        from borne_node.privacy.ledger import Ledger

        drbg = Drbg(self.board.entropy, self.board.nvs)
        self.seeded = drbg.ready
        row = policy.row(self.settings["kind"], self.settings["profile"])
        booted_at = None if self.board.slept else self.clock.now()
        return Gate(row, self.settings, drbg, Ledger(self.board.nvs), self.memory.read("gate"), booted_at)

    def open_outbox(self):
        from borne_node.outbox import NoOutbox, Outbox

        try:
            return Outbox(_OUTBOX)
        except StorageError as problem:
            print("borne: %s" % problem)
            return NoOutbox()

    def keep(self, outbox, port, payload):
        try:
            outbox.put(port, payload)
        except StorageError as problem:
            print("borne: %s" % problem)
            self.unsaved.append((port, payload))
        self.waiting = len(outbox)

    def remember(self):
        """Put into RTC memory what the next wake needs; it is RAM, and gone with the power."""
        self.count()
        kept = struct.pack(
            _MEMORY, self.cause, self.health_at, self.lost, self.waiting, *self.post, *self.rate
        )
        self.memory.write("app", kept)
        self.memory.write("failed", b"")
        self.memory.commit()

    def count(self):
        """Who came by since the sensor was read belongs to its next reading."""
        if self.pulses:
            counted = self.pulses.state()
            self.memory.write("sensor", counted + self.memory.read("sensor")[len(counted) :])


def run(board):
    """Wake once, then sleep. A node that cannot work says why, and stays reachable or tries again (rescue.py)."""
    goes_on, trouble = begin(board)
    if not goes_on:
        return None
    try:
        settings = read_settings(board)
    except SettingsError as problem:
        end(board)
        return board.stay("%s; provision this node (again)" % problem)
    board.watch()
    try:
        dimmer = None
        if settings.get("dimmer", "none") != "none":
            from borne_node.dimmer import Dimmer

            dimmer = Dimmer(board, settings)
        node = Node(board, settings)
        if trouble is not None:
            # Whatever ended the wakes before this one is told as soon as there is a way.
            node.cause, node.health_at = trouble, 0
        until, pin = node.wake()
        if trouble is not None or not board.slept:
            end(board)
        while dimmer and not node.reboot:
            dimmer.stay_up(node, until)
            node = Node(board, settings)
            until, pin = node.wake()
    except KeyboardInterrupt:
        end(board)
        return board.stay("interrupted by a host")
    except Exception as error:
        return fail(board, error)
    if node.reboot:
        return board.reset()
    return board.deep_sleep(power.sleep_ms(board.clock.now(), until), pin)


@step
def begin(board):
    from borne_node import rescue

    return rescue.begin(board)


@step
def end(board):
    from borne_node import rescue

    rescue.end(board)


@step
def fail(board, error):
    from borne_node import rescue

    return rescue.fail(board, error)


@step
def read_settings(board):
    """The settings of this node, checked unless the last wake checked the very same. Raises SettingsError."""
    try:
        with open(_SETTINGS, "rb") as file:
            raw = file.read()
    except OSError:
        raise SettingsError(_SETTINGS, "is missing")
    if board.slept and board.memory.read("settings") == hashlib.sha256(raw).digest():
        return json.loads(raw)
    from borne_node import settings

    given = settings.parse(raw)
    if settings.canonical(given) != raw:
        settings.save(given)
    board.memory.write("settings", settings.digest(given))
    return given


def recall(memory):
    kept = memory.read("app")
    return struct.unpack(_MEMORY, kept) if kept and len(kept) == struct.calcsize(_MEMORY) else _FORGOTTEN
