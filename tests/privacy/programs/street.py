"""Whole nodes from wake to wake over an empty or a saturated street: what an eavesdropper hears, and what it says."""

from node import NOW, Node
from silicon.pir import Pir

KINDS = {
    "zone": ("parking", {"bays": 4}),
    "bay": ("parking", {"bays": 2, "profile": "bay"}),
    "day": ("parking", {"bays": 2, "profile": "day"}),
    "light": ("light", {}),
    "fill": ("fill", {"depth_mm": 1200, "offset_mm": 100}),
}


class Heard(list):
    """A broker's list of what was published that notes the time of each message."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock
        self.air = []

    def append(self, message):
        super().append(message)
        topic, payload = message
        # The fake broker takes QoS 1 alone: every message is a confirmed one.
        self.air.append((self.clock.now(), int(topic.split("/")[-1]), len(payload), True))


def node_on(profile, seed, busy):
    kind, changes = KINDS[profile]
    node = Node(kind, seed=seed, **changes)
    node.broker.published = Heard(node.clock)
    node.distance = (lambda t: 100.0) if busy else (lambda t: 1300.0)
    node.lux = (lambda t: 50000.0) if busy else (lambda t: 0.2)
    if busy:
        # Somebody every 47 seconds, day and night.
        node.pir = Pir([NOW + 60 + 47 * n for n in range(3000)])
    return node


def main(tell, profile, seed, hours, busy):
    node = node_on(profile, seed, busy)
    node.live(3600)  # the bays are learnt while they are empty
    if busy:
        for field in node.fields:
            field[2] += 40.0
    node.live(hours * 3600)
    published = node.broker.published
    payloads = [(port, payload.hex()) for (_, port, _, _), (_, payload) in zip(published.air, published)]
    tell({"air": published.air, "payloads": payloads})
