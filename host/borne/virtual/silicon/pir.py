"""A presence sensor with one output pin: PIR (AM312, HC-SR501) or microwave (RCWL-0516), retriggerable."""

from . import Chip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_FOREVER_US = 1 << 62


class Pir(Chip):
    """`triggers` are the times of motion in seconds, ascending, a list or an endless iterator.

    The output goes high with a motion and low `hold_s` after the last one (AM312: about 2 s). `stuck` holds
    it high, `silent` low.
    """

    def __init__(self, triggers: "Iterable[float]", hold_s: float = 2.0) -> None:
        self._triggers = iter(triggers)
        self._hold_us = int(hold_s * 1_000_000)
        self._rise_us = self._fall_us = -1
        self._following_us = self._pull()

    def level(self, now_us: int) -> int:
        self._advance(now_us)
        if self.mode:
            return 1 if self.mode == "stuck" else 0
        return 1 if self._rise_us <= now_us < self._fall_us else 0

    def next_edge(self, now_us: int) -> "int | None":
        """When the level changes next, later than `now_us`; None: never."""
        self._advance(now_us)
        if self.mode:
            return None
        for edge_us in (self._rise_us, self._fall_us, self._following_us):
            if now_us < edge_us < _FOREVER_US:
                return edge_us
        return None

    def _pull(self) -> int:
        for seconds in self._triggers:
            return int(seconds * 1_000_000)
        return _FOREVER_US

    def _advance(self, now_us: int) -> None:
        self.at(now_us)
        while self._following_us <= now_us or self._following_us <= self._fall_us:
            if self._following_us > self._fall_us:
                self._rise_us = self._following_us
            self._fall_us = self._following_us + self._hold_us
            self._following_us = self._pull()
