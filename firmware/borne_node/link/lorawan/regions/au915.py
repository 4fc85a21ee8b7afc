"""AU915-928 of RP002-1.0.4. The uplink dwell time holds until the network lifts it by TXParamSetupReq."""

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
            (8, 500000),
            None,  # DR7: LR-FHSS
            (12, 500000),
            (11, 500000),
            (10, 500000),
            (9, 500000),
            (8, 500000),
            (7, 500000),
        ),
        up_rates=(0, 6),
        sizes=b"\x33\x33\x33\x73\xf2\xf2\xf2\0\x35\x81\xf2\xf2\xf2\xf2",
        dwell_sizes=b"\0\0\x0b\x35\x7d\xf2\xf2\0\x35\x81\xf2\xf2\xf2\xf2",
        rx1=(
            b"\x08\x08\x08\x08\x08\x08",
            b"\x09\x08\x08\x08\x08\x08",
            b"\x0a\x09\x08\x08\x08\x08",
            b"\x0b\x0a\x09\x08\x08\x08",
            b"\x0c\x0b\x0a\x09\x08\x08",
            b"\x0d\x0c\x0b\x0a\x09\x08",
            b"\x0d\x0d\x0c\x0b\x0a\x09",
        ),
        rx2=(923300000, 8),
        fixed=((915200000, 200000, 64, 0, 5), (915900000, 1600000, 8, 6, 6)),
        down=(923300000, 600000, 8),
        down_rate=8,
        bands=((915000000, 928000000, 1, 30),),
        powers=15,
        max_eirp=30,
        dwell=True,
        tx_param=True,
        join_rates=b"\2\6",  # alternately a 125 kHz channel at DR2 and a 500 kHz channel at DR6
    )
