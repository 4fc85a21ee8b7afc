"""Ledger, outbox and send, killed at every change of NVS, of flash and of the air: each wake's first, second ... last.

From the state at the beginning of each wake the node is killed at one change after the other, with its RTC memory lost
or kept, comes back (every third time it is killed again while it does), and goes on until it has released something.
No wake is skipped and no change. The modules are the node's own; the radio is a list, the readings are dice.
"""

import struct

import node as nodes
from gated import Entropy, Parking
from power import Dead, Disk, Power, Store, remount

from borne_node import RELEASED
from borne_node.errors import LinkDown, StorageError
from borne_node.outbox import Outbox
from borne_node.past import Past
from borne_node.post import Post
from borne_node.privacy import policy
from borne_node.privacy.drbg import Drbg
from borne_node.privacy.gate import Gate
from borne_node.privacy.ledger import Ledger
from borne_node.report import codec, schema
from borne_node.report.markers import SUPPRESSED
from borne_node.sealed import unseal

_ROW = policy.row("parking", "zone")
_SETTINGS = {"bays": 4}
_AWAY = (5, 300, 1200)  # seconds without power
_WAKES = 12  # after a kill, at most
_BLOCKS = 16


class Clock:
    is_set = True

    def __init__(self, now):
        self.time = now

    def now(self):
        return self.time

    def set(self, now):
        self.time = now


class Rig:
    """A node from wake to wake; it is the Link of its own Post."""

    def __init__(self, seed):
        self.power, self.nvs, self.entropy = Power(), Store(), Entropy(seed)
        self.nvs.power = self.power
        self.disk = Disk(_BLOCKS)
        nodes.vfs.VfsLfs2.mkfs(self.disk, progsize=32, readsize=32, lookahead=32)
        nodes.vfs.mount(nodes.vfs.VfsLfs2(self.disk, progsize=32, readsize=32, lookahead=32), nodes.PLACE)
        nodes.os.chdir(nodes.PLACE)
        self.disk.power = self.power
        self.clock = Clock(RELEASED + 86400)
        self.rtc, self.slept, self.said, self.next = {}, False, {}, 0
        self.frames = self.twice = self.unpaid = 0
        self.dice = seed

    def roll(self, sides):
        self.dice = (self.dice * 1103515245 + 12345) & 0x3FFFFFFF
        return (self.dice >> 12) % sides

    # What a wake does with it, in the order of app.Node.wake.

    def wake(self):
        now = self.clock.now()
        drbg = Drbg(self.entropy, self.nvs)
        gate = self.gate(drbg, self.rtc.get("gate"))
        occupied = [self.roll(2) for _ in range(4)]
        released = gate.add(Parking(occupied, (100,) * 4), now)
        if not released:
            gate.prepare()
        outbox, past, unsaved = Outbox("outbox"), Past(self.rtc.get("past")), []
        for port, window, values in released:
            history = None
            if schema.row(port)[3]:
                history = past.history(port, window)
                past.add(port, window, values)
            payload = codec.encode(port, window, values, history)
            try:
                outbox.put(port, payload)
            except StorageError:
                unsaved.append((port, payload))
        if len(outbox) or unsaved or not drbg.ready:
            Post(self.clock, self.entropy, (0, 0, 0)).session(self, outbox, unsaved)
            if drbg.due(now):
                drbg.reseed(now)
            gate = self.gate(Drbg(self.entropy, self.nvs), gate.state())
            gate.prepare()
        # RTC memory is written when all is done.
        self.rtc = {"gate": gate.state(), "past": past.state()}
        self.next = gate.next_wake(now)
        self.slept = True

    def gate(self, drbg, state):
        booted_at = None if self.slept else self.clock.now()
        return Gate(_ROW, _SETTINGS, drbg, Ledger(self.nvs), state, booted_at)

    # The link.

    def open(self):
        if self.roll(3) == 0:
            raise LinkDown("nobody hears")

    def time(self, reports):
        return self.clock.now()

    def rate(self):
        return None

    def send(self, port, payload):
        self.power.spend()
        self.hear(port, payload)
        self.power.spend()

    def close(self):
        pass

    def hear(self, port, payload):
        frame = codec.decode(port, payload)
        if port != schema.ZONE:
            return
        self.frames += 1
        self.said = {window: values for window, values in self.said.items() if frame.window - window < 40}
        spent = [unseal(self.nvs.durable.get(slot)) for slot in ("ledger0", "ledger1")]
        starts = [struct.unpack("<IHH4s", body)[0] for body in spent if body]
        newest = max(starts or [0]) // _ROW.window_s & 4095
        self.unpaid += not starts or (newest - frame.window & 4095) > 2048
        for back, values in enumerate((frame.values,) + tuple(frame.history)):
            if any(one is not None for one in values):
                values = [one is SUPPRESSED or one for one in values]
                self.twice += self.said.setdefault(frame.window - back, values) != values

    # What the world does to it.

    def snapshot(self):
        world = dict(self.nvs.durable), bytes(self.disk.data), dict(self.rtc), dict(self.said)
        return world + (self.slept, self.next, self.clock.time)

    def restore(self, kept):
        self.nvs.reboot()
        self.disk.power_on()
        self.nvs.durable, self.disk.data[:] = dict(kept[0]), kept[1]
        self.rtc, self.said = dict(kept[2]), dict(kept[3])
        self.slept, self.next, self.clock.time = kept[4:]
        remount(self)

    def killed(self, at, lost, away):
        """One wake that ends at its change `at`; then the power is back."""
        self.power.kill = self.power.count + at
        try:
            self.wake()
        except (Dead, StorageError):
            pass  # a flash without power is a StorageError where nothing follows it
        self.power.kill = None
        self.nvs.reboot()
        self.disk.power_on()
        remount(self)
        self.slept = False
        self.rtc = {} if lost else self.rtc
        self.clock.time += away

    def go_on(self):
        """Until it has released twice, so that what one frame repeats of another is heard too."""
        heard = self.frames + 2
        for _ in range(_WAKES):
            self.wake()
            if self.frames >= heard:
                return
            self.clock.time = max(self.clock.time + 1, self.next)


def main(tell, seed, points):
    rig = Rig(seed)
    done = wakes = 0
    while done < points:
        before, dice, count = rig.snapshot(), rig.dice, rig.power.count
        rig.wake()
        rig.clock.time = max(rig.clock.time + 1, rig.next)
        changes = rig.power.count - count
        after = rig.snapshot()
        wakes += 1
        for n in range(2 * changes):
            if done == points:
                break
            rig.restore(before)
            rig.dice = dice  # the same readings and the same network up to the kill
            rig.killed(n // 2, n % 2 == 0, _AWAY[done % 3])
            rig.dice = dice + n
            done += 1
            if done % 3 == 0 and done < points:
                rig.killed(rig.roll(changes), n % 2 == 0, _AWAY[done % 2])
                done += 1
            rig.go_on()
        rig.restore(after)
    tell({"cuts": done, "wakes": wakes, "frames": rig.frames, "twice": rig.twice, "unpaid": rig.unpaid})
