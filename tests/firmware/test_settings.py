from support import raises

from borne_node import settings
from borne_node.errors import SettingsError

FILL = {"name": "bin-7", "kind": "fill", "wifi_ssid": "town", "mqtt_host": "10.0.0.1", "depth_mm": 1200}


def changed(**changes):
    given = dict(FILL)
    for name, value in changes.items():
        if value is ...:
            del given[name]
        else:
            given[name] = value
    return given


def test_complete_settings_get_their_defaults():
    complete = settings.validate(FILL)
    assert complete["mqtt_port"] == 1883
    assert complete["profile"] == "fill"
    assert complete["offset_mm"] == 0
    assert set(complete) == set(settings.names_of("fill")) | {"version"}


def test_bad_settings_are_refused_by_name():
    cases = (
        ("name", changed(name=...)),
        ("name", changed(name="a/b")),
        ("name", changed(name="a b")),
        ("kind", changed(kind="lamp")),
        ("profile", changed(profile="live")),
        ("depth_mm", changed(depth_mm=...)),
        ("depth_mm", changed(depth_mm="1200")),
        ("depth_mm", changed(depth_mm=100000)),
        ("mqtt_port", changed(mqtt_port=True)),
        ("mqtt_tls", changed(mqtt_tls=1)),
        ("place", changed(place="a\nb")),
        ("wifi_ssid", changed(wifi_ssid="é" * 17)),
        ("bays", changed(bays=2)),
        ("collour", changed(collour="red")),
        ("version", changed(version=2)),
        ("settings", []),
    )
    for field, given in cases:
        with raises(SettingsError) as caught:
            settings.validate(given)
        assert caught.value.field == field, (field, caught.value)


def test_a_secret_is_refused_and_not_repeated():
    with raises(SettingsError) as caught:
        settings.validate(changed(wifi_password="hunter22"))
    assert caught.value.field == "wifi_password"
    assert "hunter22" not in str(caught.value)


def test_the_parking_profile_follows_the_number_of_bays():
    parking = {"name": "p", "kind": "parking", "wifi_ssid": "s", "mqtt_host": "h"}
    assert settings.validate(parking)["profile"] == "bay"
    parking["bays"] = 4
    assert settings.validate(parking)["profile"] == "zone"
    parking["profile"] = "live"
    assert settings.validate(parking)["profile"] == "live"


def test_withheld_bays_are_bays_of_this_node():
    parking = {"name": "p", "kind": "parking", "wifi_ssid": "s", "mqtt_host": "h", "bays": 3}
    parking["withheld_bays"] = [1, 3]
    raw = settings.canonical(settings.validate(parking))
    assert b'"withheld_bays":[1,3]' in raw
    assert settings.canonical(settings.parse(raw)) == raw
    for bad in ([4], [0], [2, 1], [1, 1], "1", 1, [True]):
        parking["withheld_bays"] = bad
        with raises(SettingsError) as caught:
            settings.validate(parking)
        assert caught.value.field == "withheld_bays"


def test_a_container_deeper_than_the_sensor_sees_is_refused():
    with raises(SettingsError) as caught:
        settings.validate(changed(depth_mm=4400, offset_mm=200))
    assert caught.value.field == "depth_mm"


def test_canonical_bytes_are_the_same_everywhere_and_parse_back():
    complete = settings.validate(changed(place='Rue "é"\\', wifi_ssid="x"))
    raw = settings.canonical(complete)
    assert b'"place":"Rue \\"\xc3\xa9\\"\\\\"' in raw
    assert raw.startswith(b'{"container":"column","depth_mm":1200,"kind":"fill"')
    assert settings.parse(raw) == complete


def test_damaged_bytes_are_no_settings():
    for raw in (b"", b"{", b"\x00\x01", b"[]", b"null", b'{"name":1}'):
        with raises(SettingsError):
            settings.parse(raw)


def complaint(**given):
    base = {"name": "n", "wifi_ssid": "s", "mqtt_host": "h"}
    base.update(given)
    with raises(SettingsError) as caught:
        settings.validate(base)
    return caught.value.field, caught.value.reason


def test_the_sensor_is_one_that_fits_the_kind():
    assert settings.validate(FILL)["sensor"] == "a02yyuw"
    assert settings.validate(changed(sensor="vl53l1x"))["sensor"] == "vl53l1x"
    field, reason = complaint(kind="fill", depth_mm=1200, sensor="qmc5883l")
    assert field == "sensor" and "a02yyuw" in reason and "qmc5883l" not in reason
    assert complaint(kind="light", sensor="a02yyuw")[0] == "sensor"


def test_a_container_is_within_the_reach_of_its_sensor():
    assert complaint(kind="fill", depth_mm=4000, sensor="vl53l1x")[0] == "depth_mm"
    assert complaint(kind="fill", depth_mm=4000, offset_mm=501)[0] == "depth_mm"
    settings.validate(changed(depth_mm=4000, offset_mm=500))
    # Blind for 30 cm: without an offset a full container would be out of range.
    assert complaint(kind="fill", depth_mm=1200, sensor="mb7389")[0] == "offset_mm"
    settings.validate(changed(sensor="mb7389", offset_mm=300))
    assert complaint(kind="fill", depth_mm=1200, container="barrel")[0] == "container"


def test_a_ranger_over_a_bay_knows_its_floor():
    assert complaint(kind="parking", sensor="vl53l1x")[0] == "floor_mm"
    assert complaint(kind="parking", sensor="vl53l1x", floor_mm=3700)[0] == "floor_mm"
    assert complaint(kind="parking", sensor="mb7389", floor_mm=500)[0] == "floor_mm"
    assert complaint(kind="parking", floor_mm=2500)[0] == "floor_mm"
    assert complaint(kind="parking", sensor="a02yyuw", floor_mm=2500, bays=2)[0] == "bays"
    given = {"name": "n", "kind": "parking", "wifi_ssid": "s", "mqtt_host": "h"}
    given.update(sensor="vl53l1x", floor_mm=2500, bays=8)
    assert settings.validate(given)["floor_mm"] == 2500
    assert settings.parse(settings.canonical(settings.validate(given)))["floor_mm"] == 2500


def test_a_lamp_has_a_meter_and_a_power():
    assert complaint(kind="light", lamp="ina226")[0] == "lamp_w"
    assert complaint(kind="light", lamp_w=60)[0] == "lamp_w"
    assert complaint(kind="light", lamp="pzem004t", lamp_w=60, presence="ld2410")[0] == "lamp"
    given = {"name": "n", "kind": "light", "wifi_ssid": "s", "mqtt_host": "h"}
    complete = settings.validate(given)
    assert (complete["sensor"], complete["presence"], complete["lamp"]) == ("veml7700", "pir", "none")
    given.update(sensor="bh1750", presence="ld2410", lamp="ina226", lamp_w=60)
    assert settings.validate(given)["lamp_w"] == 60
