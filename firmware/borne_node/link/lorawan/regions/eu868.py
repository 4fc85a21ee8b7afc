"""EU863-870 of RP002-1.0.4; duty cycles and powers of ETSI EN 300 220-2 V3.2.1, table B.1."""

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
        rx2=(869525000, 0),
        channels=((868100000, 0, 5), (868300000, 0, 5), (868500000, 0, 5)),
        # 25 mW and 500 mW are ERP; EIRP is 2.15 dB more. A border belongs to the stricter side.
        bands=(
            (863000000, 864999999, 1000, 16),
            (865000000, 867999999, 100, 16),
            (868000000, 868600000, 100, 16),
            (868700000, 869200000, 1000, 16),
            (869400000, 869650000, 10, 29),
            (869700000, 870000000, 100, 16),
        ),
        powers=8,
        max_eirp=16,
        join_rates=b"\5\4\3\2\1\0",
    )
