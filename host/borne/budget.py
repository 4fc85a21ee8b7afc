"""What a LoRaWAN node may send and how long its battery lasts, before it is flashed.

Everything that the node knows is taken from the node: sizes from the wire table, windows from the policy, time on air
and limits from the region's plan. Currents are those that the board file states. Times awake were measured on virtual
boards and are rounded up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from borne import radio
from borne.boards import Board, unknown
from borne.errors import UserError
from borne_node import settings
from borne_node.privacy import policy
from borne_node.report import codec, schema

FAIR_USE_S: Final = 30  # The Things Network, Fair Use Policy
BATTERY_MAH: Final = 6000  # two 18650 cells
_USABLE: Final = 0.8  # of a battery's capacity, over its life and the winter
# Of its capacity, a day, lithium ion: 1 to 2 % a month (Battery University, BU-802b).
_LEAKS: Final = 0.015 / 30.4
_DAY_S: Final = 86_400
_HOUR_S: Final = 3_600
# Seconds awake of a wake that only measures; what the sensors draw all the time, in uA: QMC5883L at 10 Hz (8 of them
# in a row are the worst case), HC-SR501 and VEML7700, A02YYUW behind a switch.
_MEASURES_S: Final = {"parking": 0.9, "light": 2.6, "fill": 1.6}
_SENSORS_UA: Final = {"parking": 100, "light": 110, "fill": 0}
# Wakes of a light node by its presence sensor; a street that is busier takes more.
_TRIGGERS_A_DAY: Final = 600
_SENDS_S: Final = 2.7  # awake for one uplink beside its airtime: both receive windows, and the boot
_WINDOW_SYMBOLS: Final = 12  # of a receive window that stays empty
_DAYS_A_YEAR: Final = 365.25

# The firmware carries no annotations: these are the types of what is called.
_row: Callable[[str, str], Any] = policy.row
_window: Callable[[Any, int], tuple[int, int]] = policy.window
_paid: Callable[[int, Callable[[int], int]], int] = codec.paid
_size: Callable[[int], int] = schema.size
_layout: Callable[[int], Any] = schema.row


@dataclass(frozen=True)
class Budget:
    """One node at one spreading factor.

    payload    bytes of the bare report, and with the earlier windows that its airtime pays for anyway
    airtime    of one report, ms; `airtime_s` of a day, health included
    duty       the busiest hour as a share of what the law allows (1.0: all of it); None where there is no such law
    fair_use   a day as a share of the network's fair use, None where none was given
    mah, life  a day's charge in mAh, and years on the battery, which leaks; None where the board states no currents
    problems   why it cannot hold, in words; none: it holds
    """

    sf: int
    data_rate: int
    payload: tuple[int, int]
    reports: float
    airtime_ms: float
    airtime_s: float
    duty: float | None
    fair_use: float | None
    mah: float | None
    life: float | None
    problems: tuple[str, ...]


def budget(
    board: Board,
    kind: str,
    region: str = "EU868",
    sf: int = 7,
    *,
    profile: str | None = None,
    reports: float | None = None,
    fair_use_s: float = FAIR_USE_S,
    battery_mah: float = BATTERY_MAH,
) -> Budget:
    """The budget of a node of this kind at SF 7 to 12. `reports` a day instead of what the policy's windows make.

    Raises UserError for what there is not: a kind, a profile, a region, a board without the parts.
    """
    row = _profile(board, kind, region, profile)
    plan = radio.plan(region)
    rate = _rate(plan, sf, region)
    bandwidth = plan.rates[rate][1]

    def airtime_us(size: int) -> int:
        return radio.airtime_us(sf, bandwidth, size + radio.OVERHEAD)

    bare, health, room = _size(row.port), _size(schema.HEALTH), plan.room(rate, plan.dwell)
    full = min(_paid(bare, airtime_us), max(room, bare)) if _layout(row.port)[3] else bare
    a_day, in_an_hour = _reports(row)
    if reports is not None:
        a_day, in_an_hour = reports, max(1.0, reports / 24)
    airtime_s = (airtime_us(full) * a_day + airtime_us(health)) / 1e6
    share = plan.bands[plan.band(_first_channel(plan))][2]
    duty = (airtime_us(full) * in_an_hour + airtime_us(health)) / 1e6 / _HOUR_S * share if share > 1 else None
    fair = airtime_s / fair_use_s if fair_use_s else None
    mah = _charge(board, row, kind, airtime_s, a_day + 1, sf, bandwidth, plan)
    life = battery_mah * _USABLE / (mah + battery_mah * _LEAKS) / _DAYS_A_YEAR if mah else None
    problems = (
        *_too_long(max(full, health), room, sf, region),
        *_too_much(duty, fair, airtime_s, fair_use_s, 100 / share),
    )
    return Budget(
        sf, rate, (bare, full), a_day, airtime_us(full) / 1e3, airtime_s, duty, fair, mah, life, problems
    )


def _profile(board: Board, kind: str, region: str, profile: str | None) -> Any:
    """The policy's row, after all that cannot be is refused."""
    if kind not in settings.KINDS:
        raise UserError(f"kind: {unknown(kind, settings.KINDS)}")
    profiles = settings.PROFILES[kind]
    if profile is not None and profile not in profiles:
        raise UserError(f"profile: {unknown(profile, profiles)}")
    if region not in radio.NAMES:
        raise UserError(f"region: {unknown(region, radio.NAMES)}")
    if board.radio is None:
        raise UserError(f"{board.name}: has no LoRa radio")
    if kind == "light" and board.pins.pir is None:
        raise UserError(f"{board.name}: has no pin for a presence sensor, so it makes no light node")
    first, last = radio.span_mhz(region)
    if board.radio.mhz and not board.radio.mhz[0] <= first <= last <= board.radio.mhz[1]:
        low, high = board.radio.mhz
        raise UserError(
            f"region: {region} lies at {first:g} to {last:g} MHz; {board.name} is built for {low} to {high}"
        )
    return _row(kind, profile or profiles[0])


def _rate(plan: Any, sf: int, region: str) -> int:
    """The data rate of a spreading factor with the narrowest bandwidth that the region has it in."""
    low, high = plan.up_rates
    found = [rate for rate in range(low, high + 1) if plan.rates[rate] and plan.rates[rate][0] == sf]
    if not found:
        there = sorted({plan.rates[rate][0] for rate in range(low, high + 1) if plan.rates[rate]})
        raise UserError(f"sf: {region} has SF{there[0]} to SF{there[-1]}, no SF{sf}")
    return min(found, key=lambda rate: int(plan.rates[rate][1]))


def _first_channel(plan: Any) -> int:
    return int(plan.fixed[0][0] if plan.fixed else plan.channels[0][0])


def _reports(row: Any) -> tuple[float, float]:
    """Reports of a day, and of its busiest hour. The live profile sends at most once in each of its windows."""
    start, end = _window(row, 0)
    count, hours = 0, [0] * 24
    while start < _DAY_S:
        if start >= 0:
            hours[start // _HOUR_S] += 1
            count += 1
        start, end = _window(row, end)
    return count, max(hours)


def _charge(
    board: Board, row: Any, kind: str, airtime_s: float, frames: float, sf: int, bandwidth: int, plan: Any
) -> float | None:
    """mAh of a day."""
    power = board.power
    if power is None:
        return None
    wakes = _DAY_S / row.period_s + _TRIGGERS_A_DAY * (kind == "light")
    awake_s = wakes * _MEASURES_S[kind] + frames * _SENDS_S + airtime_s
    rx2_sf, rx2_bandwidth = plan.rates[plan.rx2[1]]
    symbols_s = (1 << sf) / bandwidth + (1 << rx2_sf) / rx2_bandwidth
    listening_s = frames * _WINDOW_SYMBOLS * symbols_s
    milliampere_s = awake_s * power.awake_ma + airtime_s * power.tx_ma + listening_s * power.rx_ma
    return float(milliampere_s) / _HOUR_S + (power.sleep_ua + _SENSORS_UA[kind]) * 24 / 1000


def _too_long(size: int, room: int, sf: int, region: str) -> tuple[str, ...]:
    if size <= room:
        return ()
    return (f"a report of {size} bytes does not fit the {room} that {region} allows at SF{sf}",)


def _too_much(
    duty: float | None, fair: float | None, airtime_s: float, fair_use_s: float, percent: float
) -> tuple[str, ...]:
    problems = []
    if duty is not None and duty > 1:
        problems.append(f"its busiest hour takes {duty:.1f} times the {percent:g} % that the law allows")
    if fair is not None and fair > 1:
        problems.append(f"{airtime_s:.1f} s of airtime a day are more than the {fair_use_s:g} s of fair use")
    return tuple(problems)
