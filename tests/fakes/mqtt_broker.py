"""A broker in RAM that checks its client against MQTT 3.1.1 and can misbehave."""


class FakeBroker:
    """Keeps sessions and queued downlinks over connections; call it for a new connection.

    `silent` / `dies`: types of packet (first byte & 0xF0) that it takes without an answer, or hangs up at.
    `refuse`: the return code of CONNACK. `users`: name -> password, None lets everybody in.
    """

    def __init__(self, users=None):
        self.users = users
        self.refuse = 0
        self.silent = ()
        self.dies = ()
        self.deny_subscription = False
        self.published = []  # (topic, payload)
        self.subscriptions = {}  # client id -> topic filter
        self.queues = {}  # client id -> [(topic, payload, qos)]
        self.connections = []

    def __call__(self):
        self.connections.append(Connection(self))
        return self.connections[-1]

    def queue(self, client, topic, payload, qos=1):
        self.queues.setdefault(client, []).append((topic, payload, qos))


class Connection:
    def __init__(self, broker):
        self.broker = broker
        self.input = bytearray()
        self.output = bytearray()
        self.closed = False
        self.client = None
        self.flags = 0
        self.next_id = 100
        self.sent = {}
        self.farewell = False

    def receive(self, data):
        if self.farewell:
            raise AssertionError("bytes after DISCONNECT")
        self.input.extend(data)
        while not self.closed:
            packet = self._packet()
            if packet is None:
                return
            self._handle(*packet)

    def _packet(self):
        if len(self.input) < 2:
            return None
        size, at = self.input[1] & 0x7F, 2
        if self.input[1] & 0x80:
            if len(self.input) < 3:
                return None
            size, at = size | self.input[2] << 7, 3
        if len(self.input) < at + size:
            return None
        kind, body = self.input[0], bytes(self.input[at : at + size])
        self.input[: at + size] = b""
        return kind, body

    def _handle(self, kind, body):
        if self.client is None and kind != 0x10:
            raise AssertionError("the first packet is no CONNECT")
        if kind & 0xF0 in self.broker.dies:
            self.closed = True
        elif kind & 0xF0 not in self.broker.silent:
            names = {
                0x10: "_connect",
                0x32: "_publish",
                0x40: "_puback",
                0x82: "_subscribe",
                0xE0: "_disconnect",
            }
            getattr(self, names[kind])(body)

    def _connect(self, body):
        if body[:7] != b"\x00\x04MQTT\x04" or self.client is not None:
            raise AssertionError(f"no CONNECT of 3.1.1: {body}")
        self.flags = flags = body[7]
        if flags & 0x3F:
            raise AssertionError(f"flags {flags}: clean session, will or reserved")
        if flags & 0x40 and not flags & 0x80:
            raise AssertionError("a password without a user name")
        fields = _fields(body[10:])
        if len(fields) != 1 + (flags >> 7) + (flags >> 6 & 1):
            raise AssertionError("fields do not match the flags")
        self.client = fields[0].decode()
        code = self.broker.refuse
        if self.broker.users is not None:
            user, password = (fields + [b"", b""])[1:3]
            code = code or (0 if self.broker.users.get(user.decode()) == password.decode() else 5)
        present = self.client in self.broker.subscriptions and not code
        self.output.extend(bytes((0x20, 2, int(present), code)))
        if code:
            self.closed = True
        elif present:
            self.deliver()

    def _subscribe(self, body):
        topic = _fields(body[2:-1])[0].decode()
        if body[-1] != 1:
            raise AssertionError(f"asked for QoS {body[-1]}")
        code = 0x80 if self.broker.deny_subscription else 1
        if code == 1:
            self.broker.subscriptions[self.client] = topic
        self.output.extend(b"\x90\x03" + body[:2] + bytes((code,)))

    def _publish(self, body):
        at = 2 + (body[0] << 8 | body[1])
        topic = body[2:at]
        if body[at : at + 2] == b"\0\0":
            raise AssertionError("packet id 0")
        self.broker.published.append((topic.decode(), body[at + 2 :]))
        self.output.extend(b"\x40\x02" + body[at : at + 2])

    def _puback(self, body):
        message = self.sent.pop(body[0] << 8 | body[1])
        self.broker.queues[self.client].remove(message)

    def _disconnect(self, body):
        self.farewell = True

    def deliver(self):
        """Send what is queued for this client; a message leaves the queue when it is acknowledged."""
        for message in self.broker.queues.get(self.client, ()):
            topic, payload, qos = message
            self.next_id += 1
            packet = len(topic).to_bytes(2, "big") + topic.encode()
            if qos:
                packet += self.next_id.to_bytes(2, "big")
                self.sent[self.next_id] = message
            self.output.extend(
                bytes((0x30 | qos << 1,)) + _length(len(packet) + len(payload)) + packet + payload
            )


def _length(size):
    encoded = b""
    while True:
        size, digit = size >> 7, size & 0x7F
        if not size:
            return encoded + bytes((digit,))
        encoded += bytes((digit | 0x80,))


def _fields(data):
    fields = []
    while data:
        size = data[0] << 8 | data[1]
        fields.append(data[2 : 2 + size])
        data = data[2 + size :]
    return fields
