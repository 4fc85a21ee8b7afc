"""Values that are no number. Apart from the table, so that they are the same objects wherever it is loaded anew."""


class Marker:
    """A value that is no number, and says why."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return self.name


SUPPRESSED = Marker("SUPPRESSED")  # withheld by the gate
OVERFLOW = Marker("OVERFLOW")  # outside what the field can say, on either side
