"""US902-928 of RP002-1.0.4; FCC part 15.247."""

from borne_node.link.lorawan.regions import Plan


def plan(name):
    return Plan(
        name=name,
        rates=(
            (10, 125000),
            (9, 125000),
            (8, 125000),
            (7, 125000),
            (8, 500000),
            None,  # DR5 and DR6: LR-FHSS
            None,
            None,
            (12, 500000),
            (11, 500000),
            (10, 500000),
            (9, 500000),
            (8, 500000),
            (7, 500000),
        ),
        up_rates=(0, 4),
        sizes=b"\x0b\x35\x7d\xf2\xf2\0\0\0\x35\x81\xf2\xf2\xf2\xf2",
        rx1=(
            b"\x0a\x09\x08\x08",
            b"\x0b\x0a\x09\x08",
            b"\x0c\x0b\x0a\x09",
            b"\x0d\x0c\x0b\x0a",
            b"\x0d\x0d\x0c\x0b",
        ),
        rx2=(923300000, 8),
        fixed=((902300000, 200000, 64, 0, 3), (903000000, 1600000, 8, 4, 4)),
        down=(923300000, 600000, 8),
        down_rate=8,
        bands=((902000000, 928000000, 1, 30),),
        powers=15,
        max_eirp=30,
        # With fewer than 50 channels of 125 kHz enabled, 21 dBm at most (FCC 15.247).
        few=(50, 21),
        join_rates=b"\0\4",  # alternately a 125 kHz channel at DR0 and a 500 kHz channel at DR4
    )
