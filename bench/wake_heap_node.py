"""Runs on MicroPython with a small heap: wakes of one kind of node, each with freshly loaded modules.

micropython wake_heap_node.py KIND FOLDER PATH... prints the bytes that the simulated world holds before the first
wake, then one line a wake that came to its end.
"""

import gc
import os
import sys

kind, folder = sys.argv[1:3]
sys.path[:] = sys.argv[3:] + [".frozen"]

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
    def make_filesystem(self, blocks):
        os.chdir(folder)


def forget():
    for name in list(sys.modules):
        if name.startswith("borne_node"):
            del sys.modules[name]
    gc.collect()


gc.threshold(8192)  # as hardware.py
world = Node(kind, **SETTINGS[kind])
forget()
print("world", gc.mem_alloc())
for number in range(WAKES):
    board = world.wake()
    if board.ended[0] != "sleep" or board.memory.read("crashes") != b"\0":
        sys.exit(1)
    del board
    world.broker.published.clear()
    forget()
    print("wake", number)
