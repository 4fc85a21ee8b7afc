"""An auditor of one's own frames: do captured uplinks keep to the policy in schedule, sizes, grid and noise?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import exp, sqrt
from pathlib import Path
from typing import Any, NamedTuple

from borne.decoding.envelopes import nanoseconds
from borne.decoding.report import SUPPRESSED, Report, Value
from borne.decoding.stream import Decoded, decode_stream
from borne.decoding.table import layouts
from borne.errors import EnvelopeError, UserError
from borne.privacy.attacks.statistics import auc
from borne_node.privacy import policy
from borne_node.report import schema

OK, BROKEN, UNKNOWN = "holds", "BROKEN", "cannot be told"
# A network's own delay, and the node's wake, sensing and joining; later than this is a frame that waited.
TOLERANCE_S = 120
# Fewer pairs of windows say nothing about noise; beyond four standard errors it is no chance (one in 30,000).
_FEWEST = 40
_ERRORS = 4.0
# Ports that every profile may use: health, faults, echo of the settings.
_THINGS = (schema.HEALTH, schema.FAULT, schema.SETTINGS)

# The firmware carries no annotations: these are the types of what is called.
_rows: Sequence[Any] = policy.TABLE
_window: Any = policy.window
_text: Any = policy.text
_make: Any = policy.Row
_digest: Any = policy.digest


@dataclass(frozen=True)
class Check:
    """`verdict` is OK, BROKEN or UNKNOWN."""

    device: str
    name: str
    verdict: str
    text: str


class Sent(NamedTuple):
    """A frame: `time` in unix seconds, None where the network did not say; `start` of its window likewise."""

    time: int | None
    start: int | None
    size: int
    report: Report


def load(name: str) -> list[Any]:
    """The rows of a policy: `all`, a profile of this build, or a file of its canonical text, a row a line.

    Raises UserError.
    """
    if name == "all":
        return list(_rows)
    found = [row for row in _rows if row.profile == name]
    if found:
        return found
    try:
        lines = Path(name).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        known = ", ".join(row.profile for row in _rows)
        raise UserError(f"policy {name}: is no file, and none of: all, {known}") from None
    return [parse(line, f"{name}, line {n}") for n, line in enumerate(lines, 1) if line.strip()]


def parse(line: str, where: str) -> Any:
    """A row out of its canonical text (policy.text). Raises UserError that names what is wrong."""
    values: list[Any] = []
    rest = line.strip()
    for column, following in zip(policy.COLUMNS, (*policy.COLUMNS[1:], None), strict=True):
        head, equals, rest = rest.partition("=")
        if not equals or head != column:
            raise UserError(f"{where}: expected {column}=...")
        value, _, behind = rest.partition(f" {following}=") if following else (rest, "", "")
        rest = f"{following}={behind}"
        values.append(_value(value, f"{where}, {column}"))
    row = _make(*values)
    if _text(row) != line.strip():
        raise UserError(f"{where}: is no canonical text of a policy")
    return row


def _value(text: str, where: str) -> Any:
    if text == "None":
        return None
    over, slash, under = text.partition("/")
    try:
        return (int(over), int(under)) if slash else int(text)
    except ValueError:
        if slash:
            raise UserError(f"{where}: {text!r} is no fraction") from None
        return text


def audit(lines: Iterable[bytes | str], rows: Sequence[Any], tolerance_s: int = TOLERANCE_S) -> list[Check]:
    """Every check of every device. Raises UserError when there is no frame at all."""
    devices: dict[str, list[Sent]] = defaultdict(list)
    undecodable: dict[str, int] = defaultdict(int)
    for decoded in decode_stream(lines, deduplicate=True):
        name = (decoded.uplink.device if decoded.uplink else None) or "?"
        if decoded.report is not None:
            devices[name].append(_sent(decoded))
        elif decoded.error:
            undecodable[name] += 1
    if not devices and not undecodable:
        raise UserError("there is no uplink in it")
    found: list[Check] = []
    for name in sorted({*devices, *undecodable}):
        found.extend(_device(name, devices.get(name, []), undecodable.get(name, 0), rows, tolerance_s))
    return found


def _sent(decoded: Decoded) -> Sent:
    assert decoded.uplink is not None and decoded.report is not None
    time = None
    if decoded.uplink.time is not None:
        try:
            time = nanoseconds(decoded.uplink.time) // 10**9
        except EnvelopeError:
            time = None
    start = decoded.report.started(time) if time is not None else None
    return Sent(time, start, len(decoded.uplink.payload), decoded.report)


def _device(
    name: str, frames: list[Sent], undecodable: int, rows: Sequence[Any], tolerance_s: int
) -> Iterator[Check]:
    yield _check(name, "grid", [f"{undecodable} frames are no reports"] if undecodable else [], "all decode")
    yield _ports(name, frames, rows)
    yield _policy_hash(name, frames)
    for row in rows:
        mine = [one for one in frames if one.report.port == row.port]
        if not mine:
            continue
        yield _sizes(f"{name}, {row.profile}", mine)
        yield _grid(f"{name}, {row.profile}", mine, row)
        yield _once(f"{name}, {row.profile}", mine)
        if row.port != schema.LIVE:
            yield from _schedule(f"{name}, {row.profile}", mine, row, tolerance_s)
        if row.epsilon:
            yield _noise(f"{name}, {row.profile}", mine, row)


def _check(device: str, name: str, wrong: Sequence[str], right: str) -> Check:
    return Check(device, name, BROKEN if wrong else OK, "; ".join(wrong) or right)


def _ports(name: str, frames: list[Sent], rows: Sequence[Any]) -> Check:
    allowed = {*_THINGS, *(row.port for row in rows)}
    foreign = sorted({one.report.port for one in frames} - allowed)
    wrong = [f"port {port} ({layouts()[port].name}) is not of this policy" for port in foreign]
    return _check(name, "ports", wrong, "only those of the policy")


def _policy_hash(name: str, frames: list[Sent]) -> Check:
    said = {str(one.report.value("policy_hash")) for one in frames if one.report.port == schema.HEALTH}
    if not said:
        return Check(name, "policy hash", UNKNOWN, "no health report")
    wrong = [f"the node ran policy {one}, this build has {_digest().hex()[:8]}" for one in sorted(said)]
    return _check(name, "policy hash", wrong if said != {_digest().hex()[:8]} else [], "that of this build")


def _sizes(name: str, frames: list[Sent]) -> Check:
    sizes = sorted({one.size for one in frames})
    wrong = [f"frames of {', '.join(map(str, sizes))} bytes"] if len(sizes) > 1 else []
    return _check(name, "sizes", wrong, f"{len(frames)} frames of {sizes[0]} bytes")


def _grid(name: str, frames: list[Sent], row: Any) -> Check:
    """Counts below the threshold, above the top, or off the step are none that the policy releases."""
    wrong = []
    for one in frames:
        for values in (one.report.values, *one.report.history):
            value = values[0]
            if not isinstance(value, int) or isinstance(value, bool):
                continue
            if not row.threshold <= value <= row.top or value % row.step:
                wrong.append(value)
    text = [f"{len(wrong)} values off the policy's grid, first {wrong[0]}"] if wrong else []
    return _check(name, "grid", text, f"{row.threshold} to {row.top} in steps of {row.step}, or suppressed")


def _once(name: str, frames: list[Sent]) -> Check:
    """A window has one set of values, however often it is told: in a frame of its own, or as history of later ones."""
    said: dict[int, tuple[Value, ...]] = {}
    twice = set()
    for one in frames:
        if one.start is None:
            continue
        window_s = one.report.layout.window_s
        told = [(one.start, one.report.values)]
        told += [(one.start - (n + 1) * window_s, values) for n, values in enumerate(one.report.history)]
        for start, values in told:
            silent = all(value is None for value in values)
            if not silent and said.setdefault(start, values) != values:
                twice.add(start)
    return _check(
        name, "once", [f"{len(twice)} windows with two sets of values"] if twice else [], "each window once"
    )


def _schedule(name: str, frames: list[Sent], row: Any, tolerance_s: int) -> Iterator[Check]:
    """When frames came after the end of their window, and whether that depends on what they say."""
    delays = [
        (one.time - _window(row, one.start)[1], one.report.values[0])
        for one in frames
        if one.time is not None and one.start is not None
    ]
    if not delays:
        yield Check(name, "schedule", UNKNOWN, "the capture has no times")
        return
    early = sum(delay < 0 for delay, _ in delays)
    late = sum(delay > row.jitter_s + tolerance_s for delay, _ in delays)
    wrong = [f"{early} frames came before their window had ended"] if early else []
    yield _check(name, "schedule", wrong, f"{len(delays)} frames, {late} of them waited for the network")
    yield _silence(name, [one for one in delays if 0 <= one[0] <= row.jitter_s + tolerance_s])


def _silence(name: str, delays: list[tuple[int, Value]]) -> Check:
    """Frames whose value differs from the one before must not be faster or slower than the others."""
    pairs = list(zip(delays, delays[1:], strict=False))
    same = [float(now[0]) for before, now in pairs if before[1] == now[1]]
    other = [float(now[0]) for before, now in pairs if before[1] != now[1]]
    if min(len(same), len(other)) < _FEWEST // 4:
        return Check(name, "traffic", UNKNOWN, f"too few frames: {len(same)} as before, {len(other)} changed")
    found = auc(other, same)
    error = sqrt((len(same) + len(other) + 1) / (12 * len(same) * len(other)))
    wrong = [f"the time tells of a change: AUC {found:.2f}"] if abs(found - 0.5) > _ERRORS * error else []
    return _check(name, "traffic", wrong, f"the time tells nothing of the value (AUC {found:.2f})")


def _noise(name: str, frames: list[Sent], row: Any) -> Check:
    """Two windows in a row are equal no more often than the noise allows, were the street ever so still."""
    values = {one.start: one.report.values[0] for one in frames if one.start is not None}
    ordered = sorted(values)
    pairs = [
        (values[a], values[b])
        for a, b in zip(ordered, ordered[1:], strict=False)
        if b == _window(row, a)[1]
        and values[a] not in (None, SUPPRESSED)
        and values[b] not in (None, SUPPRESSED)
    ]
    if len(pairs) < _FEWEST:
        return Check(name, "noise", UNKNOWN, f"{len(pairs)} pairs of windows in a row, {_FEWEST} are needed")
    bays = [one.report.value("bays_ok") for one in frames] if row.port == schema.ZONE else []
    known = [one for one in bays if isinstance(one, int)]
    limit = most_equal(row, max(known) if known else row.top)
    share = sum(a == b for a, b in pairs) / len(pairs)
    error = sqrt(limit * (1 - limit) / len(pairs))
    text = f"{100 * share:.0f} % of {len(pairs)} pairs are equal, the noise allows {100 * limit:.0f} %"
    return Check(name, "noise", BROKEN if share > limit + _ERRORS * error else OK, text)


def most_equal(row: Any, top: int) -> float:
    """The greatest chance that two released values of one true count are equal, over all counts from 0 to `top`.

    Values that the policy suppresses do not count.
    """
    q = exp(-row.epsilon[0] / row.epsilon[1] / row.sensitivity)
    counts = range(min(top, row.threshold + 60) + 1)
    return max(_equal(_coarse(_released(count, top, q), row), row.threshold) for count in counts)


def _coarse(chances: list[float], row: Any) -> list[float]:
    """Chances of what is told of counts in steps of the row's, to the nearest."""
    told = [0.0] * (len(chances) // row.step + 1)
    for count, chance in enumerate(chances):
        told[(2 * count + row.step) // (2 * row.step)] += chance
    return told


def _released(count: int, top: int, q: float) -> list[float]:
    """Chances of 0..top after discrete Laplace noise (Canonne, Kamath, Steinke 2020, definition 25) and clamping."""
    chances = [(1 - q) / (1 + q) * q ** abs(value - count) for value in range(top + 1)]
    chances[0] += q ** (count + 1) / (1 + q)
    chances[top] += q ** (top - count + 1) / (1 + q)
    return chances


def _equal(chances: list[float], threshold: int) -> float:
    said = chances[threshold:]
    total = sum(said)
    return sum((one / total) ** 2 for one in said) if total > 0 else 0.0
