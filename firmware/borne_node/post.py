"""What leaves the node: reports wait in the outbox until the link takes them; what comes back is handed up."""

from borne_node.errors import LinkDown, LinkRefused, StorageError
from borne_node.link import backoff

# Between two looks at the network's clock: the ESP32's sleep clock is off by up to some seconds an hour.
_CLOCK_S = 6 * 3600


class NoOutbox:
    """In place of an outbox that the flash has no room for: keeps nothing, so that a report is sent at once or lost."""

    dropped = 0

    def __len__(self):
        return 0

    def __iter__(self):
        return iter(())

    def put(self, port, payload):
        raise StorageError("outbox: filesystem full")


class Post:
    """A session with the network is due when a report waits, the clock is not set, or the generator wants a seed.

    make_link   gives the Link; called only for a session, so that other wakes load nothing of it
    memory      (failures, unix second of the next attempt, unix second of the last look at the network's clock)
    """

    def __init__(self, outbox, make_link, clock, drbg, entropy, memory):
        self._outbox = outbox
        self._make_link = make_link
        self._clock = clock
        self._drbg = drbg
        self._entropy = entropy
        self._backoff = memory[:2]
        self._clock_at = memory[2]
        # Reports that the flash did not take: sent in this wake or lost, and then counted.
        self._unsaved = []
        self.lost = 0

    @property
    def memory(self):
        return self._backoff + (self._clock_at,)

    @property
    def dropped(self):
        """Reports lost so far, whatever the reason."""
        return self._outbox.dropped + self.lost

    def keep(self, port, payload):
        """Keep a report until it is delivered; on a full flash, at least until the end of this wake."""
        try:
            self._outbox.put(port, payload)
        except StorageError as problem:
            print("borne: %s" % problem)
            self._unsaved.append((port, payload))

    def deliver(self, obey):
        """Send what waits, if it is time; `obey(port, payload)` gets each downlink.

        Whatever fails is tried again later: nothing is raised.
        """
        if self._due() and backoff.due(self._backoff, self._clock.now()):
            link = self._make_link()
            try:
                self._session(link, obey)
                self._backoff = backoff.FRESH
            except LinkDown as problem:
                print("borne: %s" % problem)
                refused = isinstance(problem, LinkRefused)
                self._backoff = backoff.failed(self._backoff, self._clock.now(), self._random_bits, refused)
            finally:
                link.close()
        self.lost += len(self._unsaved)
        self._unsaved = []

    def next_attempt(self, now):
        """Unix second of the next attempt, or None when nothing waits."""
        return max(self._backoff[1], now) if self._due() else None

    def _due(self):
        return bool(len(self._outbox) or self._unsaved) or not self._clock.is_set or not self._drbg.ready

    def _session(self, link, obey):
        link.open()
        self._look_at_the_clock(link)
        # Here the radio is on, which is when the ESP32's generator is a true one.
        if self._drbg.due(self._clock.now()):
            self._drbg.reseed(self._clock.now())
        for slot, port, payload in self._outbox:
            self._send(link, port, payload, obey)
            self._outbox.delivered(slot)
        while self._unsaved:
            self._send(link, *self._unsaved[0], obey)
            self._unsaved.pop(0)

    def _send(self, link, port, payload, obey):
        downlink = link.send(port, payload)
        if downlink:
            obey(*downlink)

    def _look_at_the_clock(self, link):
        if self._clock.is_set and 0 <= self._clock.now() - self._clock_at < _CLOCK_S:
            return
        told = link.time()
        if told is not None:
            self._clock.set(told)
            self._clock_at = told

    def _random_bits(self, count):
        # Jitter, not privacy: the raw source will do, and is there before the generator is seeded.
        return int.from_bytes(self._entropy((count + 7) // 8), "big") & ((1 << count) - 1)
