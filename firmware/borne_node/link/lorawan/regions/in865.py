"""IN865-867 of RP002-1.0.4. No duty cycle."""

from borne_node.link.lorawan.regions import Plan


def plan(name):
    return Plan(
        name=name,
        rates=((12, 125000), (11, 125000), (10, 125000), (9, 125000), (8, 125000), (7, 125000)),
        up_rates=(0, 5),
        sizes=b"\x33\x33\x33\x73\xf2\xf2",
        # Offset 7 raises DR5 to DR7, FSK, which is not listed here: no RX1 window is opened then.
        rx1=(
            b"\0\0\0\0\0\0\1\2",
            b"\1\0\0\0\0\0\2\3",
            b"\2\1\0\0\0\0\3\4",
            b"\3\2\1\0\0\0\4\5",
            b"\4\3\2\1\0\0\5\5",
            b"\5\4\3\2\1\0\5\7",
        ),
        rx2=(866550000, 2),
        channels=((865062500, 0, 5), (865402500, 0, 5), (865985000, 0, 5)),
        bands=((865000000, 867000000, 1, 30),),
        powers=11,
        max_eirp=30,
        join_rates=b"\5\4\3\2\1\0",
    )
