"""Channel plans of RP002-1.0.4 as data, one module a family, so that a node loads its own only.

Where a row comes from, by the titles of a band's own section, which are the same in all editions of RP002:
rates, up_rates, powers, max_eirp   Data Rate and End-device Output Power Encoding
sizes, dwell_sizes                  Maximum Payload Size
rx1, rx2, dwell_floor, down         Receive Windows
channels, fixed, join_rates         Channel Frequencies
masks.py                            LinkADRReq Command; Join-Accept CFList
bands, grid, dwell, few, listen     the law of the country, named where it is written
What is common to all bands (delays, ADR_ACK_LIMIT, RETRANSMIT_TIMEOUT): Default Settings.

Only LoRa data rates are listed: RP002-1.0.4 asks for DR0 to DR5 and leaves FSK and LR-FHSS optional. A rate
that is not listed is refused in a LinkADRReq or RXParamSetupReq.
"""

from borne_node.steps import step

_MODULES = {
    "EU868": "eu868",
    "EU433": "eu433",
    "IN865": "in865",
    "US915": "us915",
    "AU915": "au915",
    "AS923-1": "as923",
    "AS923-1-JP": "as923",
    "AS923-2": "as923",
    "AS923-3": "as923",
    "AS923-4": "as923",
    "KR920": "kr920",
}
NAMES = tuple(sorted(_MODULES))


@step
def load(name):
    """The Plan called `name`, one of NAMES. Raises ValueError."""
    if name not in _MODULES:
        raise ValueError("region %r: known are %s" % (name, ", ".join(NAMES)))
    module = __import__("borne_node.link.lorawan.regions." + _MODULES[name], None, None, ("plan",))
    return module.plan(name)


class Plan:
    """One region.

    rates      (SF, Hz) or None by data rate
    up_rates   lowest and highest data rate of an uplink
    sizes      most application bytes by data rate, FOpts empty, no repeater; 0: not defined
    dwell_sizes  the same where the uplink dwell time of 400 ms holds, or None
    rx1        by uplink data rate: the RX1 data rate for each RX1DROffset
    dwell_floor  lowest RX1 data rate where the downlink dwell time holds
    rx2        (Hz, data rate)
    channels   (Hz, lowest, highest data rate) of the default channels; () in a fixed plan
    fixed      () or two blocks (first Hz, step, count, lowest, highest data rate)
    down       of a fixed plan: (first Hz, step, count) of the RX1 channels
    down_rate  lowest data rate of a downlink
    bands      (from Hz, to Hz, one in n of the time, most dBm EIRP); a channel must lie in one
    grid       None or the raster in Hz that a channel must lie on, counted from the first band
    powers     number of TXPower indices, 2 dB apart
    max_eirp   dBm
    dwell      uplink dwell time at start
    tx_param   whether TXParamSetupReq exists here
    join_rates data rates of join requests, tried in this order
    few        of a fixed plan: (fewest 125 kHz channels for full power, dBm EIRP below that)
    listen     None or (dBm, ms) of listen before talk
    """

    dwell_sizes = None
    dwell_floor = 0
    channels = ()
    fixed = ()
    down = ()
    down_rate = 0
    grid = None
    dwell = False
    tx_param = False
    few = (0, 0)
    listen = None

    def __init__(self, **rows):
        for name in rows:
            setattr(self, name, rows[name])

    def rate(self, index):
        """(SF, Hz) of a data rate, or None where it is none of this region's or no LoRa rate."""
        return self.rates[index] if 0 <= index < len(self.rates) else None

    def hears(self, index):
        """Whether a gateway may send at this data rate: in a fixed plan only from `down_rate` up."""
        return index >= self.down_rate and self.rate(index) is not None

    def room(self, rate, dwell):
        """Most application bytes of an uplink at this data rate, FOpts counted as none."""
        sizes = self.dwell_sizes if dwell and self.dwell_sizes else self.sizes
        return sizes[rate] if rate < len(sizes) else 0

    def rx1_rate(self, rate, offset, dwell):
        return max(self.rx1[rate][offset], self.dwell_floor if dwell else 0)

    def band(self, frequency):
        """Number of the sub-band that holds `frequency` (Hz), or None where nobody may send."""
        for number, (low, high, _, _) in enumerate(self.bands):
            if low <= frequency <= high:
                if self.grid and (frequency - self.bands[0][0]) % self.grid:
                    return None
                return number
        return None

    def downlink(self, frequency):
        """Whether a gateway of this region may send on `frequency` (Hz)."""
        if self.down:
            first, step, count = self.down
            return (frequency - first) % step == 0 and 0 <= (frequency - first) // step < count
        return self.band(frequency) is not None
