"""A radio and a network server for a whole node (node.py): it also tells the time and keeps what it received."""

from binascii import unhexlify

from lorawan_network import Network
from radio import Ether, FakeRadio

from borne_node.link.lorawan import commands, frames, regions

_GPS_EPOCH, _LEAP = 315964800, 18
APP_KEY = bytes(range(16))


class Site(Network):
    """`received`: (port, payload) of every uplink with a payload; `tells_time`: whether DeviceTimeReq is answered."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.began = 0
        self.tells_time = True
        self.received = []
        self.sizes = []

    def data(self, frame, end, index, frequency, rate):
        head = frames.parse(frame)
        if head and self.tells_time and commands.DEVICE_TIME in [one[0] for one in asked(head)]:
            gps = self.began + end // 1_000_000 - _GPS_EPOCH + _LEAP
            options = commands.pack(commands.DOWNLINK, commands.DEVICE_TIME, gps, 0)
            if self.answers:
                self.answers[0]["options"] = self.answers[0].get("options", b"") + options
            else:
                self.answers.append({"options": options})
        super().data(frame, end, index, frequency, rate)
        data = self.uplinks[-1][0]
        if data.port:
            self.received.append((data.port, data.payload))
            self.sizes.append(len(frame))


def asked(head):
    return list(commands.parse(commands.UPLINK, head.options))


def make(clock, now, identity, region):
    """(Site, FakeRadio) of a node with this identity, at unix second `now`."""
    plan = regions.load(region)
    ether = Ether(clock)
    euis = [unhexlify(identity[name]) for name in ("join_eui", "dev_eui")]
    site = Site(plan, ether, APP_KEY, *euis)
    site.began = now
    return site, FakeRadio(ether)


class ChipEther:
    """As radio.Ether, between a Site and a simulated chip: frames go up when the chip radiates, and down to it."""

    def __init__(self, chip):
        self.listeners = []
        self.down = self
        self._chip = chip
        chip.on_air = self._up

    def _up(self, packet):
        for listener in self.listeners:
            listener(
                packet.payload,
                packet.start_us,
                packet.end_us,
                (packet.frequency + 500) // 1000 * 1000,  # the synthesizer's steps are 61 Hz
                packet.sf,
                packet.bandwidth,
                packet.power,
            )

    def append(self, frame):
        from silicon.lora_air import Transmission

        raw, start, (frequency, sf, bandwidth, inverted), rssi, snr = frame
        packet = Transmission(bytes(raw), start, frequency, sf, bandwidth, inverted=inverted, crc=False)
        packet.rssi, packet.snr = rssi, snr
        self._chip.forget(start - 10_000_000)
        self._chip.hear(packet)


def make_chip(clock, now, identity, region, chip):
    """(Site, RadioBus) of a node with a simulated chip, for its driver."""
    from radio_bus import RadioBus

    euis = [unhexlify(identity[name]) for name in ("join_eui", "dev_eui")]
    site = Site(regions.load(region), ChipEther(chip), APP_KEY, *euis)
    site.began = now
    return site, RadioBus(chip, clock)
