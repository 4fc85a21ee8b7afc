"""What firmware tests share; runs on MicroPython and CPython, so it uses neither pytest nor contextlib."""


class raises:
    """`with raises(SensorFault) as caught:` as in pytest; `caught.value` is the exception."""

    def __init__(self, *expected):
        self.expected = expected
        self.value = None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            raise AssertionError("expected %s, nothing was raised" % (self.expected,))
        if not issubclass(kind, self.expected):
            return False
        self.value = value
        return True
