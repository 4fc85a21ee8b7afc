"""Every vector of tests/vectors/lorawan.json, both directions, and every refusal."""

import json
from binascii import hexlify, unhexlify

from aes import aes

from borne_node.link.lorawan import commands, crypto, frames, join_frames
from borne_node.link.lorawan.crypto import DOWN, UP, Key

_FILE = __file__.replace("\\", "/").rsplit("/", 2)[0] + "/vectors/lorawan.json"


def load():
    with open(_FILE) as file:
        return json.load(file)


def both(section):
    vectors = load()
    rows = vectors["public"].get(section, []) + vectors.get("generated", {}).get(section, [])
    assert rows
    return rows


def key(text):
    return Key(aes, unhexlify(text)) if text else None


def hexed(raw):
    return hexlify(bytes(raw)).decode()


def control(row):
    bits = 0
    for name, bit in (
        ("adr", frames.ADR),
        ("adr_ack_req", frames.ADR_ACK_REQ),
        ("ack", frames.ACK),
        ("fpending", frames.PENDING),
    ):
        if row[name]:
            bits |= bit
    return bits


def test_cmac_of_rfc_4493():
    # RFC 4493, section 4, examples 1 to 4.
    signer = key("2b7e151628aed2a6abf7158809cf4f3c")
    message = unhexlify(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
    )
    for length, code in (
        (0, "bb1d6929e95937287fa37d129b756746"),
        (16, "070a16b46b4d4144f79bdd9dd04a287c"),
        (40, "dfa66747de9ae63030ca32611497c827"),
        (64, "51f0bebf7e3b9d92fc49741779363cfe"),
    ):
        assert hexed(signer.cmac(message[:length])) == code
        assert hexed(signer.cmac(message[: length // 3], message[length // 3 : length])) == code


def test_join_requests():
    for row in both("join_request"):
        made = join_frames.join_request(
            key(row["app_key"]), unhexlify(row["join_eui"]), unhexlify(row["dev_eui"]), row["dev_nonce"]
        )
        assert hexed(made) == row["phy"], row["id"]


def test_join_accepts():
    for row in both("join_accept"):
        frame = unhexlify(row["phy"])
        accept = join_frames.join_accept(key(row["app_key"]), frame)
        assert accept, row["id"]
        assert accept.join_nonce == row["app_nonce"], row["id"]
        assert accept.net_id == row["net_id"], row["id"]
        assert "%08x" % accept.address == row["dev_addr"], row["id"]
        assert accept.settings == row["dl_settings"], row["id"]
        assert accept.delay == row["rx_delay"] & 15, row["id"]
        assert (hexed(accept.channels) if accept.channels else None) == row["cflist"], row["id"]
        for bit in (0x01, 0x80):
            for at in (0, 1, len(frame) - 1):
                wrong = bytearray(frame)
                wrong[at] ^= bit
                assert join_frames.join_accept(key(row["app_key"]), wrong) is None, row["id"]
        for length in range(len(frame)):
            assert join_frames.join_accept(key(row["app_key"]), frame[:length]) is None, row["id"]


def test_session_keys():
    rows = both("session_keys") + [row for row in both("join_accept") if "nwk_skey" in row]
    for row in rows:
        made = crypto.session_keys(key(row["app_key"]), row["app_nonce"], row["net_id"], row["dev_nonce"])
        assert [hexed(one) for one in made] == [row["nwk_skey"], row["app_skey"]], row


def test_data_frames_are_built():
    for row in both("data"):
        if row["payload"] is None or (row["app_skey"] is None and row["fport"]):
            continue
        data = frames.Data(
            row["dir"] == "down",
            row["confirmed"],
            int(row["dev_addr"], 16),
            control(row),
            row["fcnt"],
            unhexlify(row["fopts"]),
            row["fport"],
            unhexlify(row["payload"]),
        )
        assert hexed(frames.build(key(row["nwk_skey"]), key(row["app_skey"]), data)) == row["phy"], row["id"]


def test_data_frames_are_opened():
    for row in both("data"):
        application = key(row["app_skey"]) or key("00" * 16)
        data = frames.open_data(key(row["nwk_skey"]), application, unhexlify(row["phy"]), row["fcnt"])
        assert data, row["id"]
        assert data.down == (row["dir"] == "down"), row["id"]
        assert data.confirmed == row["confirmed"], row["id"]
        assert "%08x" % data.address == row["dev_addr"], row["id"]
        assert data.control & 0xF0 == control(row), row["id"]
        assert data.count == row["fcnt"], row["id"]
        assert hexed(data.options) == row["fopts"], row["id"]
        assert data.port == row["fport"], row["id"]
        if row["payload"] is not None:
            assert hexed(data.payload) == row["payload"], row["id"]


def test_refused_frames():
    for row in load()["negative"]:
        data = frames.open_data(
            key(row["nwk_skey"]), key(row["app_skey"]), unhexlify(row["phy"]), row["fcnt"]
        )
        assert data is None or "%08x" % data.address != row["dev_addr"], row["why"]


def test_payload_cipher():
    for row in both("frm_encrypt"):
        data = bytearray(unhexlify(row["plain"]))
        direction = UP if row["dir"] == "up" else DOWN
        for text in (row["cipher"], row["plain"]):
            key(row["key"]).cipher(data, direction, int(row["dev_addr"], 16), row["fcnt"])
            assert hexed(data) == text


def test_mic_alone():
    for row in both("mic_only"):
        direction = UP if row["dir"] == "up" else DOWN
        code = key(row["key"]).frame_mic(
            unhexlify(row["buf"]), direction, int(row["dev_addr"], 16), row["fcnt"]
        )
        assert hexed(code) == row["mic"]


def test_options_of_a_real_frame():
    for row in both("fopts_parse"):
        data = frames.parse(unhexlify(row["phy"]))
        assert hexed(data.options) == row["fopts"]
        assert data.down == (row["dir"] == "down")


# The vectors' own names of the commands and fields, in the order of the rows of borne_node's tables.
_DOWN_NAMES = {
    2: ("link_check_ans", "LinkCheckAns", "margin", "gateways gw_cnt"),
    3: (
        "link_adr_req",
        "LinkADRReq",
        "tx_power",
        "data_rate",
        "channel_mask ch_mask",
        "transmissions nb_trans",
        "mask_control ch_mask_cntl",
    ),
    4: ("duty_cycle_req", "DutyCycleReq", "max_duty_cycle"),
    5: (
        "rx_param_setup_req",
        "RXParamSetupReq",
        "rx2_data_rate",
        "rx1_offset rx1_dr_offset",
        "",
        "frequency",
    ),
    6: ("dev_status_req", "DevStatusReq"),
    7: (
        "new_channel_req",
        "NewChannelReq",
        "index ch_index",
        "frequency",
        "min_data_rate min_dr",
        "max_data_rate max_dr",
    ),
    8: ("rx_timing_setup_req", "RXTimingSetupReq", "delay"),
    9: ("tx_param_setup_req", "TXParamSetupReq", "max_eirp max_eirp_index", "uplink_dwell", "downlink_dwell"),
    10: ("dl_channel_req", "DlChannelReq", "index ch_index", "frequency"),
    13: ("device_time_ans", "DeviceTimeAns", "seconds", "fraction"),
}
_UP_NAMES = {
    2: ("link_check_req", "LinkCheckReq"),
    3: ("link_adr_ans", "LinkADRAns", "channel_mask_ack ch_mask_ack", "data_rate_ack", "power_ack"),
    4: ("duty_cycle_ans", "DutyCycleAns"),
    5: (
        "rx_param_setup_ans",
        "RXParamSetupAns",
        "channel_ack",
        "rx2_data_rate_ack",
        "rx1_offset_ack rx1_dr_offset_ack",
    ),
    6: ("dev_status_ans", "DevStatusAns", "battery", "snr_margin margin"),
    7: ("new_channel_ans", "NewChannelAns", "frequency_ok channel_freq_ok", "data_rate_range_ok dr_range_ok"),
    8: ("rx_timing_setup_ans", "RXTimingSetupAns"),
    9: ("tx_param_setup_ans", "TXParamSetupAns"),
    10: (
        "dl_channel_ans",
        "DlChannelAns",
        "frequency_ok channel_freq_ok",
        "uplink_frequency_exists uplink_freq_exists",
    ),
    13: ("device_time_req", "DeviceTimeReq"),
}
_TABLES = {"down": (commands.DOWNLINK, _DOWN_NAMES), "up": (commands.UPLINK, _UP_NAMES)}


def check_command(direction, command, values, name, fields):
    names = _TABLES[direction][1][command]
    assert name in names[:2], (name, names)
    for place, value in enumerate(values[: len(names) - 2]):
        for alias in names[2 + place].split():
            if alias in fields:
                expected = fields[alias]
                if alias in ("snr_margin", "margin") and direction == "up" and value > 31:
                    value -= 64
                assert value == expected, (name, alias, value, expected)
            # The vectors give some frequencies in Hz.
            if alias == "frequency" and (fields.get("frequency_hz") or fields.get("frequency")):
                assert value * 100 == (fields.get("frequency_hz") or fields.get("frequency")), name


def repack(direction, stream):
    table = _TABLES[direction][0]
    return b"".join(
        commands.pack(table, command, *values) for command, values in commands.parse(table, stream)
    )


def test_public_mac_commands():
    for row in load()["mac_commands_public"]:
        stream = unhexlify(row["hex"])
        parsed = list(commands.parse(_TABLES[row["dir"]][0], stream))
        assert len(parsed) == 1, row
        fields = dict(row["fields"])
        if "frequency" in fields and fields["frequency"] % 100 == 0:
            fields["frequency_hz"] = fields.pop("frequency")
        check_command(row["dir"], parsed[0][0], parsed[0][1], row["name"], fields)
        assert repack(row["dir"], stream) == stream, row


def test_mac_streams():
    for row in load()["mac_streams"]:
        stream = unhexlify(row["hex"])
        parsed = list(commands.parse(_TABLES[row["dir"]][0], stream))
        assert len(parsed) == len(row["commands"]), row
        for place, (command, values) in enumerate(parsed):
            expected = row["commands"][place]
            assert command == expected["cid"], row
            check_eirp(expected, values)
            check_command(row["dir"], command, values, expected["kind"], expected)
        assert repack(row["dir"], stream) == stream, row


def check_eirp(expected, values):
    if expected["kind"] == "tx_param_setup_req":
        assert values[0] == expected["max_eirp"] or commands.EIRP[values[0]] == expected["max_eirp"], expected


def test_cut_streams():
    for row in load()["mac_streams_cut"]:
        parsed = list(commands.parse(_TABLES[row["dir"]][0], unhexlify(row["hex"])))
        assert [one[0] for one in parsed] == [one["cid"] for one in row["parsed_before_stop"]], row


def test_counters_cross_the_16_bit_edge():
    assert frames.next_count(None, 7) == 7
    assert frames.next_count(5, 6) == 6
    assert frames.next_count(5, 5) == 0x10005
    assert frames.next_count(0xFFFF, 0) == 0x10000
    assert frames.next_count(0x1FFFF, 3) == 0x20003
    assert frames.next_count(0x7FFFFFFF, 0) == 0x80000000
