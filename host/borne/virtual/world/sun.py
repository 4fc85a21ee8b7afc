"""Daylight on a horizontal surface: where the sun stands, what reaches the street, what the clouds take.

The sun's place: "Approximate Solar Coordinates", The Astronomical Almanac, section C (US Naval Observatory):
one minute of arc within two centuries of 2000. Refraction (half a degree at the horizon) is left out.
"""

from __future__ import annotations

from math import asin, atan2, cos, degrees, pow, radians, sin

# Paris; the contract of the street is France.
LATITUDE = 48.85
LONGITUDE = 2.35

_J2000 = 946_728_000  # 2000-01-01 12:00 UTC

# log10 of the illuminance in lux is a cubic of x = altitude / 90 degrees, in six pieces: P. M. Janiczek and
# J. A. DeYoung, Computer Programs for Sun and Moon Illuminance, US Naval Observatory Circular 171 (1987),
# table 1. It covers civil (to -6), nautical (to -12) and astronomical (to -18 degrees) twilight. First
# column: lowest altitude.
_PIECES = (
    (20.0, 3.74, 3.97, -4.07, 1.47),
    (5.0, 3.05, 13.28, -45.98, 64.33),
    (-0.8, 2.88, 22.26, -207.64, 1034.30),
    (-5.0, 2.88, 21.81, -258.11, -858.36),
    (-12.0, 2.70, 12.17, -431.69, -1899.83),
    (-18.0, 13.84, 262.72, 1447.42, 2797.93),
)

# The same circular: a moonless, starlit night.
NIGHT_LUX = 5e-4


def altitude(t: float, latitude: float = LATITUDE, longitude: float = LONGITUDE) -> float:
    """Geometric altitude of the sun in degrees at the unix time `t`; east and north are positive."""
    days = (t - _J2000) / 86_400
    anomaly = radians(357.529 + 0.98560028 * days)
    ecliptic = radians(280.459 + 0.98564736 * days + 1.915 * sin(anomaly) + 0.020 * sin(2 * anomaly))
    obliquity = radians(23.439 - 0.00000036 * days)
    ascension = atan2(cos(obliquity) * sin(ecliptic), cos(ecliptic))
    declination = asin(sin(obliquity) * sin(ecliptic))
    # Greenwich mean sidereal time in hours: Astronomical Almanac, section B.
    sidereal = radians((18.697374558 + 24.06570982441908 * days) * 15 + longitude)
    place = radians(latitude)
    height = sin(place) * sin(declination) + cos(place) * cos(declination) * cos(sidereal - ascension)
    return degrees(asin(max(-1.0, min(1.0, height))))


def clear_lux(degrees_up: float) -> float:
    """Lux of a clear sky, sun included, on a horizontal surface, for an altitude of the sun in degrees."""
    for lowest, l0, l1, l2, l3 in _PIECES:
        if degrees_up >= lowest:
            x = degrees_up / 90
            return max(NIGHT_LUX, pow(10.0, l0 + x * (l1 + x * (l2 + x * l3))))
    return NIGHT_LUX


def cloud_factor(cover: float) -> float:
    """The share that `cover` (0 clear ... 1 overcast) lets through.

    F. Kasten and G. Czeplak, Solar and terrestrial radiation dependent on the amount and type of cloud, Solar
    Energy 24 (1980), 177-189: global radiation under N oktas is 1 - 0.75 (N / 8) ** 3.4 of the clear sky's.
    """
    return float(1 - 0.75 * cover**3.4)
