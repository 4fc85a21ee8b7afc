"""The auditor against a node's own frames, and against frames that break each promise in turn."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from gated import MIDNIGHT, Light, Parking, Street
from typer.testing import CliRunner

from borne.cli.privacy import privacy
from borne.errors import UserError
from borne.privacy import audit
from borne_node.privacy import policy
from borne_node.report import codec, schema

Frame = tuple[int, int, bytes]
DAY = 86_400


def still(now: int) -> Parking:
    """Three cars that never move: without noise every window would be the same."""
    return Parking((1, 1, 1, 0, 0, 0, 0, 0), (100,) * 8)


def health(now: int) -> Frame:
    values = (3700, 17, 1, 0, 1, 0, policy.digest()[:4], bytes(4), 0)
    return now, schema.HEALTH, codec.encode(schema.HEALTH, None, values)


def zone(seed: int = 1, days: int = 3, noise: bool = True) -> list[Frame]:
    street = Street("parking", "zone", still, bays=8, seed=seed)
    found = [health(street.now)]
    while street.now < MIDNIGHT + days * DAY:
        street.wake()
        if not noise:
            street.gate._noise = street.gate._next_noise = [0]
            street.memory = street.gate.state()
        for time, one in street.sent:
            past = street.past.history(one.port, one.window)
            found.append((time + 3, one.port, codec.encode(one.port, one.window, one.values, past)))
        street.sent.clear()
        street.sleep()
    return found


def light(days: int = 8) -> list[Frame]:
    street = Street("light", "light", lambda now: Light(7, 0 if now % 3600 else 40, None, None, None))
    street.until(MIDNIGHT + days * DAY)
    return [(at, one.port, codec.encode(one.port, one.window, one.values, ())) for at, one in street.sent]


def lines(frames: list[Frame], name: str = "parking-1") -> Iterator[str]:
    for time, port, payload in frames:
        at = datetime.fromtimestamp(time, UTC).isoformat()
        yield json.dumps({"topic": f"borne/v1/{name}/up/{port}", "payload": payload.hex(), "time": at})


def verdicts(frames: list[Frame], profile: str = "zone") -> dict[str, str]:
    found: dict[str, str] = {}
    for one in audit.audit(lines(frames), audit.load(profile)):
        if found.get(one.name) != audit.BROKEN:
            found[one.name] = one.verdict
    return found


def test_a_node_s_own_frames_hold() -> None:
    found = verdicts(zone())
    assert set(found) == {"grid", "ports", "policy hash", "sizes", "once", "schedule", "traffic", "noise"}
    assert set(found.values()) == {audit.OK}
    assert audit.BROKEN not in verdicts(light(), "light").values()


def reported(change: Callable[[int, int, bytes], Frame]) -> list[Frame]:
    return [change(*one) if one[1] == schema.ZONE else one for one in zone()]


def zoned(window: int, value: Any) -> bytes:
    return codec.encode(schema.ZONE, window, (value, 8), ())


BROKEN: dict[str, tuple[str, Callable[[], list[Frame]]]] = {
    "no noise": ("noise", lambda: zone(noise=False)),
    "sent before the window's end": ("schedule", lambda: reported(lambda t, p, b: (t - 400, p, b))),
    "another size": ("sizes", lambda: [*zone(), (MIDNIGHT + 3 * DAY, schema.ZONE, zoned(9, 3)[:3])]),
    "more than there can be": ("grid", lambda: [*zone(), (MIDNIGHT + 4 * DAY, schema.ZONE, zoned(9, 40))]),
    "bytes that are no report": ("grid", lambda: [*zone(), (MIDNIGHT, schema.ZONE, b"\x00")]),
    "a port of another profile": (
        "ports",
        lambda: [*zone(), (MIDNIGHT, schema.LIVE, codec.encode(schema.LIVE, 5, (1, 0)))],
    ),
    "another policy": (
        "policy hash",
        lambda: [*zone(), (MIDNIGHT, 1, codec.encode(1, None, (3700, 17, 1, 0, 1, 0, b"abcd", bytes(4), 0)))],
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_the_policy_is_seen(name: str) -> None:
    check, frames = BROKEN[name]
    assert verdicts(frames())[check] == audit.BROKEN


def test_a_window_with_two_sets_of_values_is_seen() -> None:
    frames = zone(days=1)
    time, port, payload = frames[20]
    window, *_ = codec.decode(port, payload)[1:2]
    value = codec.decode(port, payload).values[0]
    frames.insert(21, (time + 1, port, zoned(window, 8 - value if value != 4 else 5)))
    assert verdicts(frames)["once"] == audit.BROKEN


def test_times_that_follow_the_value_are_seen() -> None:
    before: list[Any] = [None]

    def eager(time: int, port: int, payload: bytes) -> Frame:
        value = codec.decode(port, payload).values[0]
        changed, before[0] = value != before[0], value
        return (time - time % 900 + (1 if changed else 200), port, payload)

    assert verdicts(reported(eager))["traffic"] == audit.BROKEN


def test_few_frames_are_no_verdict() -> None:
    found = verdicts(zone()[1:12])
    assert (found["noise"], found["traffic"], found["policy hash"]) == (audit.UNKNOWN,) * 3


def test_the_bound_on_equal_pairs() -> None:
    row = policy.row("parking", "zone")
    # Of a true zero: 1/(1+q) at zero, then (1-q)/(1+q) q^y; q = 1/e.
    q = 0.36787944
    at_zero = (1 / (1 + q)) ** 2 + sum(((1 - q) / (1 + q) * q**y) ** 2 for y in range(1, 60))
    assert abs(audit.most_equal(row, 60) - at_zero) < 1e-6


def test_a_policy_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "policy.txt"
    file.write_text("".join(policy.text(row) + "\n" for row in policy.TABLE))
    assert audit.load(str(file)) == list(policy.TABLE)
    file.write_text(policy.text(policy.TABLE[0]).replace("kind=", "sort="))
    with pytest.raises(UserError, match="line 1: expected kind"):
        audit.load(str(file))
    with pytest.raises(UserError, match="none of: all, zone, bay"):
        audit.load("nothing")


def test_the_command_says_it_by_its_exit_code(tmp_path: Path) -> None:
    file = tmp_path / "frames.ndjson"
    file.write_text("\n".join(lines(zone(days=2))))
    good = CliRunner().invoke(privacy, ["audit", str(file), "--policy", "zone"])
    assert good.exit_code == 0 and "holds" in good.output
    file.write_text("\n".join(lines(zone(days=2, noise=False))))
    bad = CliRunner().invoke(privacy, ["audit", str(file), "--policy", "zone"])
    assert bad.exit_code == 1 and "BROKEN" in bad.output


def test_an_empty_capture_is_refused() -> None:
    with pytest.raises(UserError, match="no uplink"):
        audit.audit([], audit.load("all"))
