"""JSN-SR04T, the waterproof module with one transducer, in the HC-SR04's way (seller's description)."""

from .hc_sr04 import HCSR04


class JSNSR04T(HCSR04):
    nearest_mm, farthest_mm = 200, 4500
    nothing_us = 60_000
    noise_mm = 5.0  # accuracy to 1 cm
