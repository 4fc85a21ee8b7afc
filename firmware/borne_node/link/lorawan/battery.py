"""The battery level that a network server asks for; loaded when it does."""

from borne_node.power import millivolts

# One lithium cell, empty and full. Below the lowest a board runs from something else than that cell.
_EMPTY_MV, _FULL_MV, _NO_CELL_MV = 3000, 4200, 2000


def level(board):
    """Battery level as a network asks for it (TS001-1.0.4, 5.5, DevStatusAns): 0 fed from outside, 1 to 254 from
    empty to full, 255 not measured.
    """
    measured = millivolts(board)
    if measured is None:
        return 255
    if measured < _NO_CELL_MV:
        return 0
    part = (measured - _EMPTY_MV) * 253 // (_FULL_MV - _EMPTY_MV)
    return 1 + max(0, min(253, part))
