from math import sqrt

from borne_node.sense import geometry

# The shapes that the curves are of: width over the greatest width, at a height of 0 to 1.
WIDTHS = {
    "column": lambda h: 1.0,
    "bin": lambda h: 0.75 + 0.25 * h,
    "wheels": lambda h: 0.85 + 0.15 * h,
    "igloo": lambda h: 1.0 if h < 0.4 else 0.35 + 0.65 * sqrt(1 - ((h - 0.4) / 0.6) ** 2),
}
SLICES = 400


def below(width, height):
    """Volume below a height, in percent, by slices."""
    squares = [width((n + 0.5) / SLICES) ** 2 for n in range(SLICES)]
    return 100 * sum(squares[: int(height * SLICES + 0.5)]) / sum(squares)


def test_the_curves_are_those_of_the_shapes():
    assert set(WIDTHS) == set(geometry.CURVES)
    for shape, width in WIDTHS.items():
        for percent in range(0, 101, 5):
            exact = below(width, percent / 100)
            assert abs(geometry.volume(shape, 12 * percent, 1200) - exact) <= 1.1, (shape, percent)


def test_volume_stays_on_the_scale_and_rises():
    for shape in geometry.CURVES:
        levels = [geometry.volume(shape, height, 1200) for height in range(-100, 1301, 10)]
        assert levels == sorted(levels)
        assert levels[0] == 0 and levels[-1] == 100


def test_a_straight_container_is_rounded_to_the_nearest():
    assert [geometry.volume("column", mm, 1200) for mm in (5, 6, 17, 18, 1193, 1194)] == [0, 1, 1, 2, 99, 100]
