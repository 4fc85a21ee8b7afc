"""The network's MAC commands, carried out on a session (TS001-1.0.4, chapter 5). Loaded when there are any."""

from borne_node.compat import const
from borne_node.link.lorawan import commands as mac
from borne_node.link.lorawan.masks import masked

_KEEP = const(15)  # LinkADRReq: data rate or power stays as it is
# Repeated in every uplink until a downlink shows that the network has them: RXParamSetupAns, RXTimingSetupAns,
# DlChannelAns; TXParamSetupAns as well, as in LoRaMac-node (IsSticky), where a lost one would misjudge the sizes.
_STICKY = b"\x05\x08\x0a\x09"
_GPS_EPOCH = const(315964800)  # 1980-01-06 in unix seconds
_LEAP_SECONDS = const(
    18
)  # GPS ahead of UTC since 2017-01-01 (IERS Bulletin C 52 to 70: no further one announced)


class Requests:
    """`session` is changed, `answers` get what is owed; `battery()` gives the byte of a DevStatusAns.

    `link` is (margin dB, gateways) of a LinkCheckAns; `gps` is (unix seconds, 1/256 s) of a DeviceTimeAns.
    """

    def __init__(self, session, answers, battery):
        self._session = session
        self._answers = answers
        self._battery = battery
        self.link = self.gps = None

    def carry_out(self, stream, snr):
        """Every command of a downlink's FOpts or FPort 0, in order. `snr`: dB of that downlink."""
        block = []
        for command, values in mac.parse(mac.DOWNLINK, stream):
            if command == mac.LINK_ADR:
                block.append(values)
                continue
            self._link_adr(block)
            block = []
            self._one(command, values, snr)
        self._link_adr(block)

    def _one(self, command, values, snr):
        if command == mac.LINK_CHECK:
            self.link = values
        elif command == mac.DEVICE_TIME:
            self.gps = (values[0] + _GPS_EPOCH - _LEAP_SECONDS, values[1])
        elif command == mac.DUTY_CYCLE:
            self._set("aggregate", values[0])
            self._answer(command)
        elif command == mac.RX_PARAM:
            self._rx_param(*values)
        elif command == mac.DEV_STATUS:
            # Six bits of two's complement, clipped.
            self._answer(command, self._battery(), max(-32, min(31, int(snr))))
        elif command == mac.NEW_CHANNEL:
            self._new_channel(*values)
        elif command == mac.RX_TIMING:
            self._set("rx_delay", values[0] or 1)
            self._answer(command)
        elif command == mac.TX_PARAM:
            self._tx_param(*values)
        elif command == mac.DL_CHANNEL:
            self._dl_channel(*values)

    def _set(self, name, value):
        if getattr(self._session, name) != value:
            setattr(self._session, name, value)
            self._session.changed = True

    def _answer(self, command, *values):
        self._answers.add(mac.pack(mac.UPLINK, command, *values), command in _STICKY)

    def _link_adr(self, block):
        """A block of LinkADRReq: masks build on each other, the last one's rate, power and NbTrans count.

        All or nothing; each request gets an answer, and all get the same.
        """
        if not block:
            return
        session = self._session
        mask = session.channels.mask
        for _, _, bits, _, control, _ in block:
            mask = masked(session.channels, mask, control, bits) if mask is not None else None
        power, rate, _, transmissions, _, _ = block[-1]
        rate = session.rate if rate == _KEEP else rate
        power = session.power if power == _KEEP else power
        mask_ok = bool(mask) and self._hops(mask)
        # Without a valid mask the rate is judged by the channels of now.
        rate_ok = self._sendable(rate, mask if mask_ok else session.channels.mask)
        power_ok = power < session.plan.powers
        if mask_ok and rate_ok and power_ok:
            if mask != session.channels.mask:
                session.channels.mask = mask
                session.changed = True
            self._set("rate", rate)
            self._set("power", power)
            self._set("transmissions", transmissions or 1)  # TS001-1.0.4: 0 stands for the default
        for _ in block:
            self._answer(mac.LINK_ADR, mask_ok, rate_ok, power_ok)

    def _sendable(self, rate, mask):
        plan = self._session.plan
        low, high = plan.up_rates
        room = plan.room(rate, self._session.up_dwell)
        return low <= rate <= high and room > 0 and self._session.channels.carries(mask, rate)

    def _hops(self, mask):
        # FCC 15.247 (f): who sends on 125 kHz channels has to hop, so one alone is too few.
        channels = self._session.channels
        return not self._session.plan.few[0] or channels.narrow(mask) != 1

    def _rx_param(self, rate, offset, _, frequency):
        session = self._session
        channel_ok = session.plan.downlink(frequency * 100)
        rate_ok = session.plan.hears(rate)
        offset_ok = offset < len(session.plan.rx1[0])
        if channel_ok and rate_ok and offset_ok:
            self._set("rx2_hz", frequency * 100)
            self._set("rx2_rate", rate)
            self._set("rx1_offset", offset)
        self._answer(mac.RX_PARAM, channel_ok, rate_ok, offset_ok)

    def _new_channel(self, index, frequency, low, high):
        session = self._session
        if session.plan.fixed:
            return  # a fixed plan has no such command: dropped without an answer
        known = index < session.channels.count and not session.channels.is_default(index)
        frequency *= 100
        if frequency:
            frequency_ok = known and session.plan.band(frequency) is not None
            rates_ok = known and low <= high <= session.plan.up_rates[1]
        else:
            # Taking away the only enabled channel would silence the node.
            frequency_ok = known and session.channels.mask != 1 << index
            rates_ok = known
        if frequency_ok and rates_ok:
            session.channels.define(index, frequency, low, high)
            session.changed = True
        self._answer(mac.NEW_CHANNEL, frequency_ok, rates_ok)

    def _tx_param(self, eirp, up_dwell, down_dwell, _):
        if not self._session.plan.tx_param:
            return
        self._set("eirp", mac.EIRP[eirp])
        self._set("up_dwell", bool(up_dwell))
        self._set("down_dwell", bool(down_dwell))
        self._answer(mac.TX_PARAM)

    def _dl_channel(self, index, frequency):
        session = self._session
        if session.plan.fixed:
            return
        frequency *= 100
        frequency_ok = session.plan.downlink(frequency)
        exists = index < session.channels.count and session.channels.get(index) is not None
        if frequency_ok and exists:
            session.channels.set_down(index, frequency)
            session.changed = True
        self._answer(mac.DL_CHANNEL, frequency_ok, exists)
