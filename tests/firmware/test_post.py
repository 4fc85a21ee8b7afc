"""A session with the network: what is sent, what waits, and until when."""

from clock import FakeClock

from borne_node.errors import LinkDown, LinkRefused, PayloadTooLong
from borne_node.post import Post

HOUR = 3600
NOW = 1_796_000_400


class Outbox:
    def __init__(self, *reports):
        self.reports = dict(enumerate(reports))

    def __len__(self):
        return len(self.reports)

    def __iter__(self):
        return iter([(slot, port, payload) for slot, (port, payload) in sorted(self.reports.items())])

    def delivered(self, slot):
        del self.reports[slot]


class Link:
    """Checks the order of its calls. `room`: bytes that it takes; `answers` the time when asked along with a report."""

    def __init__(self, clock, room=51, told=None, rides=False, fault=None):
        self.clock, self.room, self.told, self.rides, self.fault = clock, room, told, rides, fault
        self.sent, self.asked, self.opened, self.closed = [], 0, False, False

    def open(self):
        self.opened = True

    def rate(self):
        return (7, 125000, self.room) if self.rides else None

    def time(self, reports=0):
        assert self.opened and not self.closed
        self.asked += 1
        if self.rides and reports and not self.sent:
            return None
        return self.told

    def send(self, port, payload):
        assert self.opened and not self.closed
        if self.fault:
            raise self.fault
        if len(payload) > self.room:
            raise PayloadTooLong("%d bytes" % len(payload))
        self.sent.append(payload)

    def close(self):
        self.closed = True


def post(clock, memory=(0, 0, NOW)):
    return Post(clock, lambda count: bytes(count), memory)


def forbidden(when):
    problem = LinkDown("not before then")
    problem.when = when
    return problem


def test_what_the_law_forbids_is_tried_when_it_allows_it_and_is_no_failure():
    clock = FakeClock(NOW)
    one = post(clock, (2, 0, NOW))
    link = Link(clock, fault=forbidden(NOW + 1234))
    one.session(link, Outbox((10, b"a")), [])
    assert one.memory[:2] == (2, NOW + 1234) and link.closed


def test_a_failure_is_put_off_and_a_refusal_longer():
    for fault, failures in ((LinkDown("x"), 1), (LinkRefused("x"), 7)):
        clock = FakeClock(NOW)
        one = post(clock)
        outbox = Outbox((10, b"a"))
        one.session(Link(clock, fault=fault), outbox, [])
        assert one.memory[0] == failures and NOW + 30 <= one.memory[1] <= NOW + HOUR
        assert len(outbox) == 1


def test_what_is_too_long_for_now_waits_and_lets_the_others_pass():
    clock = FakeClock(NOW)
    one = post(clock)
    outbox, unsaved = Outbox((1, bytes(16)), (10, b"abc"), (10, b"def")), []
    link = Link(clock, room=11)
    one.session(link, outbox, unsaved)
    assert link.sent == [b"abc", b"def"]
    assert list(outbox) == [(0, 1, bytes(16))]
    assert one.memory[:2] == (0, NOW + HOUR)


def test_the_time_rides_on_a_report_where_that_saves_airtime():
    clock = FakeClock(NOW, is_set=False)
    one = post(clock, (0, 0, 0))
    link = Link(clock, told=NOW + 500, rides=True)
    one.session(link, Outbox((1, b"health")), [])
    assert link.asked == 2 and clock.is_set and clock.now() == NOW + 500
    assert one.memory == (0, 0, NOW + 500)


def test_without_a_report_the_time_is_asked_for_by_itself():
    clock = FakeClock(NOW, is_set=False)
    one = post(clock, (0, 0, 0))
    link = Link(clock, told=NOW + 500, rides=True)
    one.session(link, Outbox(), [])
    assert link.asked == 1 and clock.now() == NOW + 500


def test_a_clock_that_nobody_sets_is_a_failure():
    for rides in (False, True):
        clock = FakeClock(NOW, is_set=False)
        one = post(clock, (0, 0, 0))
        one.session(Link(clock, rides=rides), Outbox((1, b"health")), [])
        assert one.memory[0] == 1
