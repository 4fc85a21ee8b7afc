"""A parking node whose policy table is spoilt: what it published in some hours, and how each wake ended."""

import node as nodes


def main(tell, hours):
    node = nodes.Node("parking", bays=4, profile="zone")
    ends = set()
    until = node.clock.now() + hours * 3600
    while node.clock.now() < until:
        before = node.clock.now()
        ended = node.wake(node.woken_by_pin).ended
        ends.add(ended[0] if ended else "nothing")
        if node.clock.now() == before:
            node.clock.sleep_ms(600_000)  # it stays up for a host, or was reset
    sent = [[int(topic.split("/")[-1]), payload.hex()] for topic, payload in node.broker.published]
    tell({"sent": sent, "ends": sorted(ends)})
