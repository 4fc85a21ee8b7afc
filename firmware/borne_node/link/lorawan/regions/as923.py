"""AS923, groups 1 to 4, of RP002-1.0.4. Listen before talk is a matter of the country: "AS923-1-JP" is Japan's.

For Japan (ARIB STD-T108) the values are LoRaMac-node's, RegionAS923.c, CHANNEL_PLAN_GROUP_AS923_1_JP: channels 24 to
38, at most 200 kHz wide, 13 dBm, free below -80 dBm for 5 ms.
"""

from borne_node.link.lorawan.regions import Plan

_OFFSETS = (0, -1_800_000, -6_600_000, -5_900_000)  # Hz, by group


def plan(name):
    offset = _OFFSETS[int(name[6]) - 1]
    japan = name.endswith("JP")
    top = 5 if japan else 6
    return Plan(
        name=name,
        rates=(
            (12, 125000),
            (11, 125000),
            (10, 125000),
            (9, 125000),
            (8, 125000),
            (7, 125000),
            (7, 250000),
        )[: top + 1],
        up_rates=(0, top),
        sizes=b"\x33\x33\x73\x73\xf2\xf2\xf2"[: top + 1],
        dwell_sizes=b"\0\0\x0b\x35\x7d\xf2\xf2"[: top + 1],
        # Offsets 6 and 7 raise the rate; where that gives DR7, FSK, no RX1 window is opened.
        rx1=(
            b"\0\0\0\0\0\0\1\2",
            b"\1\0\0\0\0\0\2\3",
            b"\2\1\0\0\0\0\3\4",
            b"\3\2\1\0\0\0\4\5",
            b"\4\3\2\1\0\0\5\6",
            b"\5\4\3\2\1\0\6\7",
            b"\6\5\4\3\2\1\7\7",
        )[: top + 1],
        dwell_floor=2,
        rx2=(923200000 + offset, 2),
        channels=((923200000 + offset, 0, 5), (923400000 + offset, 0, 5)),
        bands=((920600000, 923400000, 100, 13) if japan else (915000000, 928000000, 100, 16),),
        powers=8,
        max_eirp=13 if japan else 16,
        listen=(-80, 5) if japan else None,
        dwell=True,
        tx_param=True,
        join_rates=b"\5\4\3\2",  # where the dwell time holds, DR0 and DR1 carry nothing
    )
