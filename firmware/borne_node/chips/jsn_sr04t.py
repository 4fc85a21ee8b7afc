"""JSN-SR04T, waterproof ultrasonic distance in the HC-SR04's way (R27 open: trigger and echo).

Its one transducer still rings when the echo of something near comes back: blind up to 20 cm (seller's description
of versions 2.0 and 3.0; the range is that of 2.0, the shorter one).
"""

from borne_node.chips.hc_sr04 import HCSR04


class JSNSR04T(HCSR04):
    name = "JSN-SR04T"
    nearest_mm = 200
    farthest_mm = 4500
