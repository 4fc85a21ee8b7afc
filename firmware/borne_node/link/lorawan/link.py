"""The LoRaWAN link: join if need be, send reports, radio off."""

import binascii

from borne_node.compat import const, ticks_diff
from borne_node.errors import LinkDown, LinkRefused, StorageError
from borne_node.link.lorawan import regions
from borne_node.link.lorawan.air import NotBefore
from borne_node.link.lorawan.mac import Mac

FAIR_USE_S = const(30)  # The Things Network, Fair Use Policy: airtime of a node a day
_OTAA = ("join_eui", "dev_eui", "app_key")
_ABP = ("dev_addr", "nwk_skey", "app_skey")
_SIZES = {"join_eui": 8, "dev_eui": 8, "app_key": 16, "dev_addr": 4, "nwk_skey": 16, "app_skey": 16}


class LoraWanLink:
    """The Link of a node with a LoRa radio.

    `make_radio()` gives the chip's driver; it is called by `open`. `identity` is a dict of bytes, most significant
    byte first: join_eui, dev_eui, app_key, or for activation by personalization dev_addr, nwk_skey, app_skey.
    `region` is one of regions.NAMES. `confirmed`: the ports whose uplinks ask for an acknowledgement, alarms only.
    `options` go to Mac: fair_use_s, gain, error_ppm, adr, battery. Raises ValueError that names what is malformed.
    """

    def __init__(
        self,
        make_radio,
        identity,
        region,
        clock,
        entropy,
        aes,
        store,
        rtc,
        confirmed=(),
        fair_use_s=FAIR_USE_S,
        **options,
    ):
        self._names = _OTAA if "app_key" in identity else _ABP
        for name in self._names:
            if len(identity.get(name, b"")) != _SIZES[name]:
                raise ValueError("%s: %d bytes are needed" % (name, _SIZES[name]))
        self._plan = regions.load(region)
        self._make_radio = make_radio
        self._identity = identity
        self._confirmed = confirmed
        self._clock = clock
        self._radio = None
        self._mac = None
        parts = [region.encode()] + [identity[name] for name in self._names]
        owner = binascii.crc32(b"".join(parts)) & 0xFFFFFFFF
        self._arguments = (clock, entropy, aes, store, rtc, owner)
        self._options = options
        self._options["fair_use_s"] = fair_use_s

    def open(self):
        """Radio on, and a session: the stored one, or one join request. Raises LinkDown; close() follows always."""
        self._radio = self._make_radio()
        self._mac = Mac(self._plan, self._radio, *self._arguments, **self._options)
        try:
            self._activate()
        except StorageError as problem:
            raise _unstored(problem)

    def _activate(self):
        if self._names is _ABP:
            address, network, application = [self._identity[name] for name in _ABP]
            self._mac.personalize(int.from_bytes(address, "big"), network, application)
        elif not self._mac.joined:
            if not self._join():
                raise LinkDown("no join accept: out of reach, or not registered with these keys")
        elif self._mac.adr.lost:
            # The old session goes on if nobody answers: silence may be the radio's and not the server's fault.
            try:
                self._join()
            except (NotBefore, LinkRefused, StorageError):
                pass

    def _join(self):
        return self._mac.join(*[self._identity[name] for name in _OTAA])

    def time(self, reports=0):
        """Unix time in seconds from the network, or None when it does not tell (yet).

        The question takes a byte of an uplink: of the first of the `reports` that follow, or of an empty one.
        """
        mac = self._mac
        if mac.time is None:
            mac.ask_time()
            if reports:
                return None
            try:
                mac.poll()
            except NotBefore:
                return None
        if mac.time is None:
            return None
        seconds, fraction, ticks = mac.time
        passed = ticks_diff(self._clock.ticks_ms(), ticks) + fraction * 1000 // 256
        # Once only: the ticks wrap, and a later caller wants the time of then.
        mac.time = None
        return seconds + (passed + 500) // 1000

    def rate(self):
        """(SF, Hz, most bytes) of the next uplink, or None before the first `open`."""
        return self._mac.rate() if self._mac else None

    def room(self):
        """Most bytes that the next `send` can carry. Needs open()."""
        return self._mac.room()

    def send(self, port, payload):
        """Send one report. Returns a downlink (port, bytes) or None; `received` gives further ones.

        Raises PayloadTooLong, NotBefore (a LinkDown with `when`), LinkDown or LinkRefused.
        """
        if self._mac is None:
            raise LinkDown("the link is not open")
        try:
            return _plain(self._mac.send(port, payload, port in self._confirmed))
        except StorageError as problem:
            raise _unstored(problem)

    def received(self):
        """The next downlink (port, bytes) that waits, or None."""
        return _plain(self._mac.received()) if self._mac else None

    def close(self):
        """Radio off. Never raises; may be called at any time."""
        try:
            if self._radio:
                self._radio.sleep()
        except LinkDown:
            pass
        self._radio = None


def _unstored(problem):
    # A counter that is not on flash must not go on the air: the report waits, as for any other fault of the link.
    return LinkRefused("the session cannot be stored: %s" % problem)


def _plain(downlink):
    return tuple(downlink) if downlink else None
