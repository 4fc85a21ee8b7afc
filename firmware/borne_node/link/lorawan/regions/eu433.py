"""EU433 of RP002-1.0.4. It lists the default channels with less than 1 %, which is kept for all."""

from borne_node.link.lorawan.regions import Plan


def plan(name):
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
        ),
        up_rates=(0, 6),
        sizes=b"\x33\x33\x33\x73\xf2\xf2\xf2",
        rx1=(
            b"\0\0\0\0\0\0",
            b"\1\0\0\0\0\0",
            b"\2\1\0\0\0\0",
            b"\3\2\1\0\0\0",
            b"\4\3\2\1\0\0",
            b"\5\4\3\2\1\0",
            b"\6\5\4\3\2\1",
        ),
        rx2=(434665000, 0),
        channels=((433175000, 0, 5), (433375000, 0, 5), (433575000, 0, 5)),
        bands=((433175000, 434665000, 100, 12),),
        powers=6,
        max_eirp=12,  # 12.15 dBm, that is 10 mW ERP
        join_rates=b"\5\4\3\2\1\0",
    )
