"""A small MQTT 3.1.1 client: QoS 1 both ways, limited waits, bounded memory whatever the broker sends.

References in brackets are the specification's statements (OASIS, MQTT Version 3.1.1, 2014).

At least once, both ways. A report counts as sent when its PUBACK is here; it is never sent again within a
connection (TCP does that), so DUP is never set, and a report whose PUBACK was lost goes out again as a new
message with the same bytes. A downlink is acknowledged when the caller comes back after having been given it;
one that could not be given out stays unacknowledged, and the broker keeps it for the next session.
"""

import struct

from borne_node.compat import const
from borne_node.errors import LinkDown, LinkRefused
from borne_node.link.stream import Limit

# A TLS handshake on the ESP32 takes 0.85 s, a mobile uplink a few seconds more; this is what the broker gets.
CONNECT_MS = const(15_000)
_ANSWER_MS = const(10_000)
_GOODBYE_MS = const(1_000)
# The broker gives a session up after 1.5 times this [MQTT-3.1.2-24]; ours is shorter and needs no PINGREQ.
_KEEP_ALIVE_S = const(120)

DOWNLINK_MAX = const(51)
_HELD_MAX = const(4)
# A broker that sends more than this instead of the answer, or a longer message, is not talking to us.
_PACKETS_MAX = const(64)
_SKIP_MAX = const(65536)
_PORT_MAX = const(223)  # LoRaWAN 1.0.4, 4.3.2: 224 is for the MAC's tests

_CONNECT = const(0x10)
_CONNACK = const(0x20)
_PUBLISH = const(0x30)
_PUBACK = const(0x40)
_SUBSCRIBE = const(0x82)  # the low bits are fixed [MQTT-3.8.1-1]
_SUBACK = const(0x90)
_DISCONNECT = const(0xE0)
_QOS_1 = const(0x02)
_FAILURE = const(0x80)
_USER = const(0x80)
_PASSWORD = const(0x40)
_SUBSCRIBE_ID = const(1)

# Section 3.2.2.3, table 3.1.
_REFUSALS = (
    "",
    "the broker does not speak MQTT 3.1.1",
    "the broker does not accept this node's name as client id",
    "the broker is unavailable",
    "the broker does not accept user name or password",
    "the broker does not authorise this node",
)
_UNAVAILABLE = const(3)


class Mqtt:
    """One session over `stream` for the node `name`. Any LinkDown ends it: close the stream."""

    def __init__(self, stream, clock, name):
        self._stream = stream
        self._clock = clock
        self._name = name
        self._prefix = b"borne/v1/%s/down/" % name.encode()
        self._view = memoryview(bytearray(len(self._prefix) + 3 + DOWNLINK_MAX))
        self._id = _SUBSCRIBE_ID
        self._held = []  # (packet id or 0, port, payload)
        self._handed = 0

    def connect(self, user="", password=b""):
        """CONNECT, and SUBSCRIBE to the downlinks unless the broker still knows this node's session.

        Raises LinkRefused for a refusal that trying again will not mend, LinkDown for anything else.
        """
        flags = 0
        fields = [_field(self._name.encode())]
        if user:
            flags = _USER
            fields.append(_field(user.encode()))
            if password:  # never without a user name [MQTT-3.1.2-22]
                flags |= _PASSWORD
                fields.append(_field(password))
        # Clean session 0: the broker keeps subscription and downlinks while the node sleeps.
        body = struct.pack(">H4sBBH", 4, b"MQTT", 4, flags, _KEEP_ALIVE_S) + b"".join(fields)
        limit = Limit(self._clock, CONNECT_MS)
        self._stream.write(struct.pack("B", _CONNECT) + _length(len(body)) + body, limit)
        kind, size = self._head(limit)
        if kind != _CONNACK or size != 2:
            raise LinkDown("this is no MQTT broker")
        present, code = self._body(size, limit)
        if code:
            reason = _REFUSALS[code] if code < len(_REFUSALS) else "the broker refuses for reason %d" % code
            raise (LinkDown if code == _UNAVAILABLE else LinkRefused)(reason)
        if not present & 1:
            self._subscribe(limit)

    def publish(self, port, payload):
        """Send one report; it is the broker's when this returns. Raises LinkDown."""
        self._acknowledge_handed()
        self._id = self._id % 0xFFFF + 1
        topic = b"borne/v1/%s/up/%d" % (self._name.encode(), port)
        body = _field(topic) + struct.pack(">H", self._id) + payload
        limit = Limit(self._clock, _ANSWER_MS)
        self._stream.write(struct.pack("B", _PUBLISH | _QOS_1) + _length(len(body)) + body, limit)
        self._answer(_PUBACK, 2, self._id, limit)

    def downlink(self):
        """The next downlink that is here, (port, bytes), or None; acknowledged with the next call.

        Raises LinkDown.
        """
        self._acknowledge_handed()
        limit = Limit(self._clock, _ANSWER_MS)
        for _ in range(_PACKETS_MAX):
            if self._held or not self._stream.waiting():
                break
            kind, size = self._head(limit)
            if kind & 0xF0 != _PUBLISH:
                raise LinkDown("the broker sent packet 0x%02x unasked" % kind)
            self._incoming(kind, size, limit)
        if not self._held:
            return None
        self._handed, port, payload = self._held.pop(0)
        return port, payload

    def disconnect(self):
        """Take leave; the stream is closed by its owner. Raises LinkDown."""
        self._acknowledge_handed()
        self._stream.write(struct.pack("BB", _DISCONNECT, 0), Limit(self._clock, _GOODBYE_MS))

    def _subscribe(self, limit):
        body = struct.pack(">H", _SUBSCRIBE_ID) + _field(self._prefix + b"+") + b"\x01"
        self._stream.write(struct.pack("B", _SUBSCRIBE) + _length(len(body)) + body, limit)
        if self._answer(_SUBACK, 3, _SUBSCRIBE_ID, limit)[2] == _FAILURE:
            raise LinkRefused("the broker does not let this node listen to its downlinks")

    def _answer(self, kind, size, packet_id, limit):
        # The body of the awaited packet; downlinks that come before it are taken in.
        for _ in range(_PACKETS_MAX):
            got, length = self._head(limit)
            if got & 0xF0 == _PUBLISH:
                self._incoming(got, length, limit)
                continue
            if got != kind or length != size:
                raise LinkDown("the broker sent packet 0x%02x of %d bytes for 0x%02x" % (got, length, kind))
            body = self._body(size, limit)
            if body[0] << 8 | body[1] == packet_id:
                return body
        raise LinkDown("the broker sends everything but the answer")

    def _incoming(self, kind, size, limit):
        # A downlink: hold it, or, when it can never be one, acknowledge it so that it does not come for ever.
        qos = kind >> 1 & 3
        topic_size = int.from_bytes(self._take(2, limit), "big") if size >= 2 else 0
        rest = size - 2 - topic_size - (2 if qos else 0)
        if rest < 0 or qos > 1:
            raise LinkDown("the broker sent a malformed message")
        port = 0
        if topic_size <= len(self._prefix) + 3:
            port = self._port(self._take(topic_size, limit))
        else:
            self._skip(topic_size, limit)
        packet_id = int.from_bytes(self._take(2, limit), "big") if qos else 0
        if qos and not packet_id:
            raise LinkDown("the broker sent a malformed message")  # [MQTT-2.3.1-1]
        if not port or rest > DOWNLINK_MAX:
            # Before its payload, which may be long: even if this session ends there, it was the last time.
            self._acknowledge(packet_id, limit)
            self._skip(rest, limit)
            return
        payload = bytes(self._take(rest, limit))
        if len(self._held) < _HELD_MAX:
            self._held.append((packet_id, port, payload))

    def _port(self, topic):
        digits = bytes(topic[len(self._prefix) :])
        if bytes(topic[: len(self._prefix)]) != self._prefix or not digits.isdigit():
            return 0
        port = int(digits)
        return port if port <= _PORT_MAX else 0

    def _acknowledge_handed(self):
        packet_id, self._handed = self._handed, 0
        self._acknowledge(packet_id, Limit(self._clock, _ANSWER_MS))

    def _acknowledge(self, packet_id, limit):
        if packet_id:
            self._stream.write(struct.pack(">BBH", _PUBACK, 2, packet_id), limit)

    def _head(self, limit):
        # First byte and remaining length, section 2.2.
        kind = self._take(1, limit)[0]
        size = 0
        for shift in (0, 7, 14, 21):
            byte = self._take(1, limit)[0]
            size |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return kind, size
        raise LinkDown("the broker sent a malformed length")

    def _body(self, size, limit):
        return bytes(self._take(size, limit))

    def _take(self, size, limit):
        view = self._view[:size]
        self._stream.read(view, limit)
        return view

    def _skip(self, size, limit):
        if size > _SKIP_MAX:
            raise LinkDown("the broker sent a message of %d bytes" % size)
        while size > 0:
            size -= len(self._take(min(size, len(self._view)), limit))


def _field(data):
    return struct.pack(">H", len(data)) + data


def _length(size):
    if size < 128:
        return struct.pack("B", size)
    return struct.pack("BB", size & 0x7F | 0x80, size >> 7)
