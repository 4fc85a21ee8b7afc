"""KR920-923 of RP002-1.0.4. Listen before talk takes the place of a duty cycle."""

from borne_node.link.lorawan.regions import Plan


def plan(name):
    return Plan(
        name=name,
        rates=((12, 125000), (11, 125000), (10, 125000), (9, 125000), (8, 125000), (7, 125000)),
        up_rates=(0, 5),
        sizes=b"\x33\x33\x33\x73\xf2\xf2",
        rx1=(
            b"\0\0\0\0\0\0",
            b"\1\0\0\0\0\0",
            b"\2\1\0\0\0\0",
            b"\3\2\1\0\0\0",
            b"\4\3\2\1\0\0",
            b"\5\4\3\2\1\0",
        ),
        rx2=(921900000, 0),
        channels=((922100000, 0, 5), (922300000, 0, 5), (922500000, 0, 5)),
        # Below 922 MHz an end-device sends 10 dBm at most.
        bands=((920900000, 921999999, 1, 10), (922000000, 923300000, 1, 14)),
        grid=200000,
        powers=8,
        max_eirp=14,
        join_rates=b"\5\4\3\2\1\0",
        # Thresholds of LoRaMac-node, RegionKR920.h: KR920_RSSI_FREE_TH and KR920_CARRIER_SENSE_TIME.
        listen=(-65, 6),
    )
