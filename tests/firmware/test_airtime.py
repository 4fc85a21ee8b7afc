import json

from borne_node.chips.lora import airtime_us, low_rate, symbol_us

_FILE = __file__.replace("\\", "/").rsplit("/", 2)[0] + "/vectors/time_on_air.json"


def check(row, tolerance):
    sf, bandwidth, coding, crc, header, preamble, length, expected = row
    got = airtime_us(sf, bandwidth, length, coding, crc, header, preamble)
    assert abs(got - expected) <= tolerance, (row, got)


def test_every_vector():
    with open(_FILE) as file:
        vectors = json.load(file)
    tolerance = vectors["meta"]["tolerance_us"]
    assert vectors["rows"]
    for row in vectors["rows"]:
        check(row, tolerance)
    for anchor in vectors["meta"].get("public_anchors", ()):
        for row in anchor["rows"]:
            check(row, tolerance)


def test_sf5_and_sf6_of_the_sx126x():
    # SX1261/2 datasheet Rev. 2.1, 6.1.4: 6.25 symbols after the preamble and no 8 in the numerator.
    # SF6, 125 kHz, 10 bytes, CRC, header, CR 4/5: 12 + 6.25 + 8 + 5 * ceil((80 + 16 - 24 + 20) / 24) symbols.
    assert airtime_us(6, 125000, 10, preamble=12) == (4 * (12 + 8 + 20) + 25) * 512 // 4
    assert airtime_us(5, 500000, 0, crc=False, preamble=12) == (4 * (12 + 8) + 25) * 64 // 4


def test_low_data_rate_optimisation_from_16_ms_on():
    assert [sf for sf in range(5, 13) if low_rate(sf, 125000)] == [11, 12]
    assert [sf for sf in range(5, 13) if low_rate(sf, 250000)] == [12]
    assert not any(low_rate(sf, 500000) for sf in range(5, 13))
    assert low_rate(10, 62500)
    assert symbol_us(7, 125000) == 1024
