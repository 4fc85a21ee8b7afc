"""The LoRaWAN 1.0.4 class A MAC (TS001-1.0.4): join, send, receive windows.

It does one thing at a time and waits through the clock it was given. What it needs for a moment only (joining, the
bytes of a frame, the network's commands) is loaded for that moment and let go of (steps.py).
"""

import struct
from collections import namedtuple

from borne_node.compat import const
from borne_node.errors import LinkDown, LinkRefused, PayloadTooLong
from borne_node.link.lorawan.adr import Adr
from borne_node.link.lorawan.air import Air, NotBefore
from borne_node.link.lorawan.answers import DEVICE_TIME, LINK_CHECK, Answers
from borne_node.link.lorawan.duty import DutyCycle
from borne_node.link.lorawan.session import BLOCK, VOLATILE, Session
from borne_node.steps import step

_ADR = const(0x80)  # FCtrl: TS001-1.0.4, 4.3.1
_ADR_ACK_REQ = const(0x40)
_ACK = const(0x20)
_PENDING = const(0x10)
_SHORTEST = const(12)  # bytes of a data frame: MHDR, FHDR, MIC
_OVERHEAD = const(13)  # of a data frame with FPort and without FOpts
_FOPTS = const(15)
_LAST_PORT = const(223)  # 224 is the test protocol's, the others above are reserved
_FOLLOW_UPS = const(2)  # empty uplinks in a row to fetch what is pending or to acknowledge
_INBOX = const(4)
_SPREAD_MS = const(10_000)  # after power-on: lamps that regain their mains together must not speak together
_KEPT = "<IIIBBBHBBBII9s"

Downlink = namedtuple("Downlink", ("port", "payload"))


class Mac:
    """One end-device. `store` is durable and `rtc` survives deep sleep (the Store seam); `entropy(n)` gives n bytes.

    `owner` is a 32-bit number made of identity, root key and region: a session of another owner is not taken up.
    `gain` is the antenna's in dBi, `error_ppm` the clock's between an uplink and its windows. `battery()` gives the
    byte of a DevStatusAns: 0 mains, 1 to 254 charge, 255 unknown.
    """

    def __init__(
        self,
        plan,
        radio,
        clock,
        entropy,
        aes,
        store,
        rtc,
        owner,
        gain=0,
        error_ppm=100,
        fair_use_s=0,
        adr=True,
        battery=lambda: 255,
    ):
        self._plan = plan
        self._clock = clock
        self._aes = aes
        self._rtc = rtc
        self._adaptive = adr
        self._inbox = []
        self._owed = self._more = False
        self._battery = battery
        self.time = self.link = None
        # A session by personalization starts in the middle: OTAA starts at the rate of its join.
        rates = plan.join_rates
        self.session = Session(plan, store, owner, rates[0 if plan.fixed else len(rates) // 2])
        self.adr = Adr(self.session)
        self.answers = Answers()
        kept = rtc.read(VOLATILE) or b""
        size = struct.calcsize(_KEPT) + 1
        tail = size + kept[size - 1] if len(kept) >= size else 0
        self.duty = DutyCycle(plan.bands, clock, fair_use_s, kept[tail:] if tail else None)
        self._air = Air(plan, radio, clock, entropy, self.duty, gain, error_ppm)
        self._joins = (0, 0, 0)
        self._cold = not tail
        self.session.load()
        if tail:
            self._resume(kept[: size - 1], kept[size:tail])

    # What survives deep sleep

    def _resume(self, kept, answers):
        tag, up, down, flags, rate, power, silent, misses, floor, attempts, first, then, used = struct.unpack(
            _KEPT, kept
        )
        self._joins = attempts, first, then
        session = self.session
        if session.address is None or tag != session.tag:
            return
        # A count that is not in the reserved block is no count of this session's present.
        if session.reserved - BLOCK <= up <= session.reserved:
            session.up = up
            session.rate, session.power = rate, power
            self.adr.silent, self.adr.misses, self.adr.floor = silent, misses, floor
            self._owed, self._more = bool(flags & 1), bool(flags & 2)
            session.channels.used = int.from_bytes(used, "little")
            if answers:
                self.answers.sticky = answers[1 : 1 + answers[0]]
                self.answers.once = answers[1 + answers[0] :]
            if down and (session.down is None or down - 1 > session.down):
                session.down = down - 1

    def keep(self):
        """Write what must survive a deep sleep; done before every frame that leaves."""
        session = self.session
        joined = session.address is not None
        sticky = self.answers.sticky
        answers = bytes((len(sticky),)) + sticky + self.answers.once
        kept = struct.pack(
            _KEPT,
            session.tag if joined else 0,
            session.up,
            0 if session.down is None else (session.down + 1) & 0xFFFFFFFF,
            self._owed | self._more << 1,
            session.rate,
            session.power,
            self.adr.silent,
            self.adr.misses,
            self.adr.floor,
            *self._joins,
            session.channels.used.to_bytes(9, "little"),
        )
        self._rtc.write(VOLATILE, kept + bytes((len(answers),)) + answers + self.duty.state())
        self._rtc.commit()

    # Activation

    @property
    def joined(self):
        return self.session.address is not None

    def personalize(self, address, network, application):
        """Activation by personalization, unless the store holds this very session already."""
        if self.joined:
            return
        self.session.reset()
        self.session.start(address, network, application)
        self.session.save()
        self.session.load_counts()

    @step
    def join(self, join_eui, dev_eui, key):
        """One join request and its windows. True when a session was made; the old one stays until then.

        Raises NotBefore, and LinkRefused once all DevNonces are used up.
        """
        from borne_node.link.lorawan.crypto import Key
        from borne_node.link.lorawan.join import Joins

        joins = Joins(self._plan, self._air, self._clock, self._joins)
        joins.check()
        self._spread()

        def keep():
            self._joins = joins.memory
            self.keep()

        joined = joins.request(self.session, Key(self._aes, key), join_eui, dev_eui, keep)
        self._joins = joins.memory
        if joined:
            self.adr.heard()
            self.answers.sticky = self.answers.once = b""
            self._owed = self._more = False
        self.keep()
        return joined

    # Uplinks

    def room(self):
        """Most bytes that the next uplink can carry for the application, the answers owed counted."""
        room = self._most()
        owed = len(self.answers.sticky) + len(self.answers.once)
        return max(0, room - owed) if owed <= _FOPTS else room

    def rate(self):
        """(SF, Hz, most bytes) that the next uplink is sent with, no answer owed counted."""
        rate = self._rate()
        return self._plan.rate(rate) + (self._most(),)

    def send(self, port, payload, confirmed=False):
        """Send `payload` on `port` (1 to 223). Returns a Downlink for the application, or None.

        Raises PayloadTooLong, NotBefore, LinkRefused, and LinkDown where a confirmed uplink was not acknowledged.
        """
        if not self.joined:
            raise LinkDown("not joined")
        if not 1 <= port <= _LAST_PORT:
            raise ValueError("port %d: 1 to 223 carry data" % port)
        if len(payload) > self._most():
            raise PayloadTooLong("%d bytes, room for %d" % (len(payload), self._most()))
        if self._adaptive and self.adr.wants_probe():
            self.answers.ask(LINK_CHECK)
        acknowledged = self._exchange(port, payload, confirmed)
        if confirmed and not acknowledged:
            raise LinkDown("no acknowledgement")
        return self.received()

    def poll(self):
        """An empty uplink: for what is asked of the network, and what it has to say. Raises NotBefore."""
        self._exchange(None, b"", False)

    def received(self):
        """The next Downlink that waits, or None: more than one may come with one `send`."""
        return self._inbox.pop(0) if self._inbox else None

    def ask_time(self):
        """Put a DeviceTimeReq into the next uplink; `time` is then (unix seconds, 1/256 s, ticks_ms)."""
        self.answers.ask(DEVICE_TIME)

    def _rate(self):
        """The data rate of the session, or the nearest that enabled channels and dwell time allow."""
        session = self.session
        low, high = self._plan.up_rates
        for rate in list(range(session.rate, high + 1)) + list(range(session.rate - 1, low - 1, -1)):
            if self._plan.room(rate, session.up_dwell) and session.channels.carries(
                session.channels.mask, rate
            ):
                return rate
        return session.rate

    def _most(self):
        return self._plan.room(self._rate(), self.session.up_dwell)

    def _options(self, length):
        """What goes into FOpts beside `length` bytes; None where the answers owed do not fit."""
        return self.answers.fitting(min(_FOPTS, self._most() - length))

    def _exchange(self, port, payload, confirmed):
        self._spread()
        if self._options(len(payload)) is None:
            acknowledged = self._uplink(0, self._whole(), False)
            if port is not None:
                acknowledged = self._uplink(port, payload, confirmed)
        else:
            acknowledged = self._uplink(port, payload, confirmed)
        for _ in range(_FOLLOW_UPS):
            if self._owed or self._more:
                try:
                    self._uplink(None, b"", False)
                except NotBefore:
                    break
        return acknowledged

    def _uplink(self, port, payload, confirmed):
        """One frame, NbTrans times or until it is answered. Returns whether it was acknowledged."""
        session = self.session
        rate = self._rate()
        options = b"" if port == 0 else self._options(len(payload)) or b""
        index = self._air.choose(session.channels, rate, _OVERHEAD + len(options) + len(payload))
        count = session.take_count()
        if count is None:
            session.address = None
            raise LinkRefused("all frame counters are used up: join again")
        control = _ACK if self._owed else 0
        if self._adaptive:
            control |= _ADR | (_ADR_ACK_REQ if self.adr.request else 0)
        frame = self._sealed(confirmed, control, count, options, port, payload)
        asked = self.answers.sent(options if port else payload or options) or confirmed
        self._owed = self._more = False
        reply = self._repeat(frame, index, rate, confirmed)
        if reply is None and self._adaptive:
            self.adr.unheard()
            if asked:
                self.adr.unanswered()
        self._settle()
        return bool(reply and reply.control & _ACK)

    def _repeat(self, frame, index, rate, confirmed):
        reply = None
        for attempt in range(self.session.transmissions):
            if attempt:
                # RP002-1.0.4: RETRANSMIT_TIMEOUT, 1 to 3 s.
                self._clock.sleep_ms(1000 + self._air.random(2001))
                try:
                    index = self._air.choose(self.session.channels, rate, len(frame))
                except NotBefore:
                    break
            ended = self._transmit(index, rate, frame)
            reply = self._data_windows(ended, index, rate) or reply
            if reply and (not confirmed or reply.control & _ACK):
                break
        return reply

    def _transmit(self, index, rate, frame):
        session = self.session
        eirp = session.eirp - 2 * session.power
        return self._air.transmit(session.channels, index, rate, frame, eirp, session.aggregate, self.keep)

    def _settle(self):
        # A setting of the network's is on flash before the uplink that confirms it.
        if self.session.changed:
            self.session.changed = False
            self.session.save_counts(self.session.reserved)
            self.session.save()
        self.keep()

    # Downlinks

    def _data_windows(self, ended, index, rate):
        session = self.session
        rx1 = (
            session.channels.down_hz(index),
            self._plan.rx1_rate(rate, session.rx1_offset, session.down_dwell),
        )
        rx2 = session.rx2_hz, session.rx2_rate

        def take(packet, at_rate):
            return self._take(packet, at_rate, ended)

        return self._air.windows(ended, session.rx_delay * 1000, rx1, rx2, take)

    def _take(self, packet, rate, ended):
        """A Data that is whole, ours and new, or None; nothing of the session changes before that is certain."""
        session = self.session
        frame = packet.payload
        # The longest MACPayload of the rate; the dwell time does not count here (RP002-1.0.4).
        if not _SHORTEST <= len(frame) <= self._plan.sizes[rate] + _OVERHEAD:
            return None
        if int.from_bytes(frame[1:5], "little") != session.address:
            return None
        data = self._opened(frame)
        if data is None:
            return None
        session.down = data.count
        self.adr.heard()
        self.answers.sticky = b""
        self._owed = data.confirmed
        self._more = bool(data.control & _PENDING)
        stream = data.options if data.port else data.options + data.payload
        if stream:
            self._carry_out(stream, packet.snr, ended)
        if data.port and data.port <= _LAST_PORT:
            # On flash before it is obeyed: after a power cut the same command must not be obeyed again.
            session.save_counts(session.reserved)
            if len(self._inbox) < _INBOX:
                self._inbox.append(Downlink(data.port, data.payload))
        return data

    # Loaded for the moment

    def _keys(self):
        from borne_node.link.lorawan.crypto import Key

        return [Key(self._aes, one) for one in (self.session.keys[:16], self.session.keys[16:])]

    @step
    def _sealed(self, confirmed, control, count, options, port, payload):
        """The bytes of an uplink."""
        from borne_node.link.lorawan import frames

        data = frames.Data(False, confirmed, self.session.address, control, count, options, port, payload)
        return frames.build(*self._keys(), data)

    @step
    def _opened(self, frame):
        """The Data of a downlink that is well-formed, new and signed with our key, or None."""
        from borne_node.link.lorawan import frames

        head = frames.parse(frame)
        if head is None or not head.down:
            return None
        count = frames.next_count(self.session.down, head.count)
        return frames.open_data(*self._keys(), frame, count) if count <= 0xFFFFFFFF else None

    @step
    def _whole(self):
        """As many whole answers as one frame on port 0 holds; the network asks again for the others."""
        from borne_node.link.lorawan import commands

        return commands.whole(self.answers.sticky + self.answers.once + self.answers.asks, self._most())

    @step
    def _carry_out(self, stream, snr, ended):
        from borne_node.link.lorawan.requests import Requests

        requests = Requests(self.session, self.answers, self._battery)
        requests.carry_out(stream, snr)
        self.link = requests.link or self.link
        if requests.gps:
            self.time = requests.gps + (ended,)

    def _spread(self):
        if self._cold:
            self._cold = False
            self._clock.sleep_ms(self._air.random(_SPREAD_MS))
