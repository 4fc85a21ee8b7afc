import hashlib

from support import raises

from borne_node.privacy import policy
from borne_node.report import schema
from borne_node.settings import PROFILES

NOON = 1795392000 + 12 * 3600


def test_every_profile_that_can_be_set_has_a_row():
    for kind in PROFILES:
        for profile in PROFILES[kind]:
            assert policy.row(kind, profile).kind == kind
    assert len(policy.TABLE) == sum(len(profiles) for profiles in PROFILES.values())
    with raises(KeyError):
        policy.row("parking", "fill")


def test_rows_agree_with_the_wire_format():
    for row in policy.TABLE:
        assert schema.row(row.port)[1] == row.window_s, row
        assert row.kind in schema.KINDS and row.profile in schema.PROFILES


def test_what_a_count_is_clamped_to_fits_its_field():
    for row in policy.TABLE:
        if row.epsilon:
            _, _, offset, step, last, reserved, _ = schema.row(row.port)[4][0]
            assert (offset, step) == (0, 1) and row.top // row.step <= last, row
            assert reserved & schema.SUPPRESSED_CODE and row.top % row.step == 0, row


def test_only_the_live_profile_is_not_anonymous():
    assert [row.profile for row in policy.TABLE if row.says == "not anonymous"] == ["live"]
    assert [row.profile for row in policy.TABLE if row.says == "anonymous"] == ["zone", "light", "fill"]


def test_a_release_comes_within_the_first_slot_of_the_next_window():
    for row in policy.TABLE:
        assert 0 < row.jitter_s <= row.period_s <= row.window_s
        slots = max(row.window_s, row.night_s) // row.period_s
        assert slots <= (96 if row.kind == "parking" else 8)  # what the gate has room for in RTC memory
        assert row.need <= row.window_s // row.period_s


def test_one_vehicle_moves_the_zone_count_by_one():
    zone = policy.row("parking", "zone")
    # A strict majority of an odd number of slots: no vehicle has it in two bays.
    assert zone.window_s // zone.period_s % 2 == 1 and zone.sensitivity == 1 and zone.epsilon == (1, 1)


def test_a_quarter_of_an_hour_is_a_slot_of_a_bay():
    for profile in ("bay", "day"):
        row = policy.row("parking", profile)
        assert row.period_s == 900 and row.top == row.window_s // 900
        assert (row.sensitivity, row.epsilon, row.unit) == (1, (1, 1), "quarter-hour")
        assert row.top // row.step == schema.row(row.port)[4][0][4]  # whole: the last code


def test_windows_are_cut_by_unix_time():
    zone, light = policy.row("parking", "zone"), policy.row("light", "light")
    assert policy.window(zone, NOON + 899) == (NOON, NOON + 900)
    assert policy.window(zone, NOON + 900) == (NOON + 900, NOON + 1800)
    assert policy.window(light, NOON + 3599) == (NOON, NOON + 3600)


def test_the_night_is_one_window():
    light = policy.row("light", "light")
    dusk = NOON + 10 * 3600
    for second in (dusk, dusk + 7199, dusk + 7200, dusk + 8 * 3600 - 1):
        assert policy.window(light, second) == (dusk, dusk + 8 * 3600), second
    assert policy.window(light, dusk - 1) == (dusk - 3600, dusk)
    assert policy.window(light, dusk + 8 * 3600) == (dusk + 8 * 3600, dusk + 9 * 3600)


def test_the_canonical_text_is_what_it_was():
    assert policy.text(policy.row("light", "light")) == (
        "kind=light profile=light port=20 window_s=3600 night_s=28800 period_s=3600 need=1 jitter_s=240 "
        "epsilon=1/1 sensitivity=2 unit=passage threshold=11 top=1020 step=1 says=anonymous"
    )
    assert "epsilon=None" in policy.text(policy.row("fill", "fill"))


def test_the_digest_is_over_every_line():
    lines = "".join(policy.text(row) + "\n" for row in policy.TABLE)
    assert policy.digest() == hashlib.sha256(lines.encode()).digest()
    zone = policy.row("parking", "zone")
    assert policy.digest(zone) == hashlib.sha256((policy.text(zone) + "\n").encode()).digest()


def test_any_change_of_the_policy_changes_the_digest():
    zone = policy.row("parking", "zone")
    digests = {policy.digest(zone)}
    for i in range(len(zone)):
        columns = list(zone)
        columns[i] = (
            (2, 1) if columns[i] == (1, 1) else "other" if isinstance(columns[i], str) else columns[i] + 1
        )
        digests.add(policy.digest(policy.Row(*columns)))
    assert len(digests) == len(zone) + 1
