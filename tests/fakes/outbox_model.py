"""What an outbox must hold at each moment of a short life that may be cut anywhere."""


class Life:
    """Puts, drops, deliveries; `before` and `after` are (waiting, dropped) around the operation under way."""

    def __init__(self, slots):
        self.slots = slots
        self.before = self.after = ((), 0)

    def run(self, outbox):
        for number in range(5):
            self.put(outbox, b"%03d" % number)
        for slot, _, payload in outbox:
            self.deliver(outbox, slot, payload)
        self.put(outbox, b"end")

    def put(self, outbox, payload):
        waiting, dropped = self.before = self.after
        waiting += (payload,)
        self.after = (waiting[-self.slots :], dropped + max(0, len(waiting) - self.slots))
        outbox.put(10, payload)
        self.before = self.after

    def deliver(self, outbox, slot, payload):
        waiting, dropped = self.before = self.after
        self.after = (tuple(held for held in waiting if held != payload), dropped)
        outbox.delivered(slot)
        self.before = self.after

    def check(self, outbox, torn, where):
        """What was cut happened or did not; a file that was torn costs one report, and is counted."""
        found = (tuple(payload for _, _, payload in outbox), outbox.dropped)
        if found in (self.before, self.after):
            return
        kept = tuple(payload for payload in self.before[0] if payload in self.after[0])
        if (
            not torn
            or found[0] not in (kept, self.before[0])
            or not self.before[1] <= found[1] <= self.before[1] + 1
        ):
            raise AssertionError(f"cut at {where}: {found}, not {self.before} or {self.after}")
