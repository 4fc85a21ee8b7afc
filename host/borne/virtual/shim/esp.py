# mypy: ignore-errors
"""`esp`: what the default boot.py mentions."""

LOG_NONE = 0


def osdebug(level, *more):
    pass


def flash_size():
    import esp32

    return esp32.Partition._flash_size
