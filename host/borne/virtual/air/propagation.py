"""How strong a LoRa frame arrives, and whether a receiver can read it."""

from __future__ import annotations

import math
import random
from typing import NamedTuple

from borne.virtual.world.chance import dice

# Log-distance model of LoRa at 868 MHz with the transmitter on the ground and the gateway on a roof: J. Petajajarvi et
# al., "On the Coverage of LPWANs: Range Evaluation and Channel Attenuation Model for LoRa Technology", ITST 2015.
_AT_1_KM_DB = 128.95
_EXPONENT = 2.32
_SHADOW_DB = 7.8
# From frame to frame: cars and people pass. An assumption.
_FADING_DB = 2.0
_NEAREST_KM = 0.01
_KELVIN_DBM_HZ = -174
_NOISE_FIGURE_DB = 6  # SX1276 datasheet table 7 and SX1301 reference design
# SX1276 datasheet Rev. 7, table 13: what the demodulator needs.
_FLOOR_DB = {6: -5.0, 7: -7.5, 8: -10.0, 9: -12.5, 10: -15.0, 11: -17.5, 12: -20.0}
_SNR_MOST = 12.0  # what chips report at most, whatever the signal
# A frame survives another of its own spreading factor that is 6 dB weaker: D. Croce et al., "Impact of LoRa Imperfect
# Orthogonality", IEEE Communications Letters 22 (2018); one of another factor up to 16 dB stronger (their mean).
_CAPTURE_DB = 6
_OTHER_SF_DB = -16


class Place(NamedTuple):
    """Metres east and north of the middle of the street."""

    x: float
    y: float


class Level(NamedTuple):
    """What a receiver sees of a frame: dBm, dB."""

    rssi: float
    snr: float


class Path:
    """The way between a node and a gateway, in both directions: loss that stays, and fading from frame to frame."""

    def __init__(self, seed: int, one: str, other: str, distance_m: float) -> None:
        shadow = dice(seed, "shadow", one, other).gauss(0, _SHADOW_DB)
        kilometres = max(distance_m / 1000, _NEAREST_KM)
        self.loss_db = _AT_1_KM_DB + 10 * _EXPONENT * math.log10(kilometres) + shadow
        self._fading: random.Random = dice(seed, "fading", one, other)

    def level(self, power_dbm: float, bandwidth: int) -> Level:
        """Of one frame that is radiated with `power_dbm` (EIRP); every call is another frame."""
        rssi = power_dbm - self.loss_db + self._fading.gauss(0, _FADING_DB)
        return Level(rssi, min(rssi - noise_dbm(bandwidth), _SNR_MOST))


def distance(one: Place, other: Place) -> float:
    return math.hypot(one.x - other.x, one.y - other.y)


def noise_dbm(bandwidth: int) -> float:
    return _KELVIN_DBM_HZ + 10 * math.log10(bandwidth) + _NOISE_FIGURE_DB


def readable(level: Level, sf: int) -> bool:
    return level.snr >= _FLOOR_DB[sf]


def drowned(wanted: float, sf: int, other: float, other_sf: int) -> bool:
    """Whether a frame of `wanted` dBm is lost to one of `other` dBm on the same channel at the same time."""
    return wanted - other < (_CAPTURE_DB if sf == other_sf else _OTHER_SF_DB)
