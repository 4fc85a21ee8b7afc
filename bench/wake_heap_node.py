"""Runs on MicroPython with a small heap: wakes of one kind of node, each with freshly loaded modules.

micropython wake_heap_node.py KIND LINK FOLDER PATH... prints the bytes that the simulated world holds before the first
wake, then one line a wake that came to its end.
"""

import gc
import os
import sys

kind, link, folder = sys.argv[1:4]
sys.path[:] = sys.argv[4:] + [".frozen"]

import node as fakes  # noqa: E402

# Each kind with the most that it can have: what takes the most code.
SETTINGS = {
    "parking": {"bays": 8, "sensor": "mmc5603"},
    "light": {"lamp": "ina226", "lamp_w": 60, "presence": "ld2410"},
    "fill": {"depth_mm": 1200, "tilt": "lis3dh"},
}
# The first wake sets the clock, seeds the generator and sends the health report; the others sense, release and send.
WAKES = 6


class Node(fakes.Node):
    """`link`: wifi, or the chip of a LoRaWAN node."""

    def make_filesystem(self, blocks):
        os.chdir(folder)

    def _make_air(self, region):
        import lorawan_site

        if link == "sx1276":
            from silicon.sx127x import SX127x as Chip
        else:
            from silicon.sx126x import SX126x as Chip

        self.network, self.radio = lorawan_site.make_chip(
            self.clock, self.told, fakes.RADIO_BASE, region, Chip()
        )
        self.radio.mode = None
        self.radio.keep = 0  # what the world writes down is no part of the node
        self.secrets["a"] = {"app_key": self.network.app_key}

    def make_radio(self):
        bus = self.radio
        if link == "sx1276":
            from borne_node.chips.sx127x import SX127x

            return SX127x(bus, bus.cs, bus.reset, self.clock)
        from borne_node.chips.sx126x import SX126x

        return SX126x(bus, bus.cs, bus.reset, bus.busy, self.clock)


def forget():
    for name in list(sys.modules):
        if name.startswith("borne_node"):
            del sys.modules[name]
    gc.collect()


gc.threshold(8192)  # as hardware.py
# MicroPython keeps names in pools, each twice as large as the one before (py/qstr.c). On the board they hold the node's
# names alone; here those would share the world's, until one name more costs a pool for 1280. So that pool is there
# before anything is measured, and test_heap.py counts what the node's own would be.
for number in range(600):
    hasattr(sys, f"name_{number}")
world = Node(kind, **SETTINGS[kind], **({} if link == "wifi" else {"link": "lorawan"}))
forget()
print("world", gc.mem_alloc())
for number in range(WAKES):
    board = world.wake()
    if board.ended[0] != "sleep" or any(board.memory.read("failed")):
        sys.exit(1)
    del board
    world.broker.published.clear()
    if world.network and not world.network.received:
        sys.exit(1)  # the first wake reports its health
    forget()
    print("wake", number)
