"""A session with the network: the clock, the reports that wait, the downlinks."""

from borne_node.errors import LinkDown, LinkRefused, PayloadTooLong
from borne_node.link import backoff

# Between two looks at the network's clock: the ESP32's sleep clock is off by up to some seconds an hour.
_CLOCK_S = 6 * 3600
# What does not fit the link's data rate of now may fit it later.
_TOO_LONG_S = 3600


class Post:
    """`memory`: (failures, unix second of the next attempt, unix second of the last look at the network's clock)."""

    def __init__(self, clock, entropy, memory):
        self._clock = clock
        self._entropy = entropy
        self._failures, self._attempt, self._clock_at = memory

    @property
    def memory(self):
        return self._failures, self._attempt, self._clock_at

    def session(self, link, outbox, unsaved):
        """Send what waits in `outbox`, then `unsaved`, a list of (port, payload) that is emptied as it goes out.

        Returns the downlinks, [(port, payload)]. What fails stays where it is; nothing is raised.
        """
        downlinks = []
        try:
            link.open()
            self._look_at_the_clock(link, len(outbox) + len(unsaved))
            later = self._send(link, outbox, unsaved, downlinks)
            if link.rate():
                # The answer came with a report, if it came; a node that never had the time asks once more.
                self._look_at_the_clock(link, self._clock.is_set)
            if not self._clock.is_set:
                raise LinkDown("nobody tells the time")
            self._failures, self._attempt = backoff.FRESH
            if later:
                self._attempt = self._clock.now() + _TOO_LONG_S
        except LinkDown as problem:
            self._put_off(problem)
        finally:
            link.close()
        return downlinks

    def _put_off(self, problem):
        if problem.when is not None:
            # No failure: the law, fair use or a join back-off says when.
            self._attempt = problem.when
            return
        print("borne: %s" % problem)
        refused = isinstance(problem, LinkRefused)
        state = self._failures, self._attempt
        self._failures, self._attempt = backoff.failed(state, self._clock.now(), self._random_bits, refused)

    def _send(self, link, outbox, unsaved, downlinks):
        """Returns how many reports the link cannot carry at its data rate of now: they wait."""
        later = 0
        for slot, port, payload in outbox:
            try:
                downlinks.append(link.send(port, payload))
                outbox.delivered(slot)
            except PayloadTooLong:
                later += 1
        while unsaved:
            try:
                downlinks.append(link.send(*unsaved[0]))
            except PayloadTooLong:
                break
            unsaved.pop(0)
        while None in downlinks:
            downlinks.remove(None)
        return later

    def _look_at_the_clock(self, link, reports):
        if self._clock.is_set and 0 <= self._clock.now() - self._clock_at < _CLOCK_S:
            return
        told = link.time(reports)
        if told is not None:
            self._clock.set(told)
            self._clock_at = told

    def _random_bits(self, count):
        # Jitter, not privacy: the raw source will do, and is there before the generator is seeded.
        return int.from_bytes(self._entropy((count + 7) // 8), "big") & ((1 << count) - 1)
