"""A store of small named records that can lose its power at any operation."""


class PowerCut(Exception):
    pass


class FakeStore:
    """`write` stages, `commit` makes all staged records durable one after the other; `cut_after` counts operations.

    After a PowerCut, `reboot()` gives what a fresh boot would find: the durable records only.
    """

    def __init__(self, capacity=4000, cut_after=None):
        self.durable = {}
        self.staged = {}
        self.capacity = capacity
        self.cut_after = cut_after
        self.commits = 0

    def _tick(self):
        if self.cut_after is not None:
            if self.cut_after <= 0:
                raise PowerCut()
            self.cut_after -= 1

    def read(self, name):
        self._check(name)
        if name in self.staged:
            return self.staged[name]
        return self.durable.get(name)

    def write(self, name, data):
        self._check(name)
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError("a record is bytes")
        if len(data) > self.capacity:
            raise ValueError("a record of %d bytes, the store takes %d" % (len(data), self.capacity))
        self._tick()
        self.staged[name] = bytes(data)

    def commit(self):
        for name in sorted(self.staged):
            self._tick()
            self.durable[name] = self.staged[name]
        self.staged = {}
        self.commits += 1

    def reboot(self):
        self.staged = {}
        self.cut_after = None
        return self

    @staticmethod
    def _check(name):
        # NVS keys have at most 15 characters (ESP-IDF, NVS: NVS_KEY_NAME_MAX_SIZE is 16 with the final zero).
        if not isinstance(name, str) or not 1 <= len(name) <= 15:
            raise ValueError("a record's name has 1 to 15 characters: %r" % (name,))
