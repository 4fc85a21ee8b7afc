"""How much of a container's volume lies below a height: piecewise linear, a table a shape."""

# Percent of the volume at 0, 10, ... 100 percent of the height. Shapes by EN 840-1 and -2 and makers' drawings:
# - column: an underground container, straight walls;
# - bin: two wheels, 240 l; the sides of the bottom are 0.75 of those of the top;
# - wheels: four wheels, 770 l; 0.85;
# - igloo: a bell for glass, straight to 0.4 of its height, then an ellipse that ends at 0.35 of the width.
# tests/firmware/test_sense_geometry.py integrates them anew.
CURVES = {
    "column": None,
    "bin": (0, 8, 16, 24, 33, 43, 53, 64, 75, 87, 100),
    "wheels": (0, 9, 17, 27, 36, 46, 56, 67, 77, 89, 100),
    "igloo": (0, 12, 23, 35, 47, 58, 69, 80, 89, 96, 100),
}
_STEP = 10


def volume(shape, height, whole):
    """Whole percent of the volume below `height` of `whole` (any unit, small integers), to the nearest."""
    height = max(0, min(whole, height))
    curve = CURVES[shape]
    if curve is None:
        return (200 * height + whole) // (2 * whole)
    at = min(_STEP - 1, _STEP * height // whole)
    beyond = _STEP * height - at * whole
    rise = curve[at + 1] - curve[at]
    return curve[at] + (2 * rise * beyond + whole) // (2 * whole)
