"""A wake in steps, each with the heap to itself: what a step loads is let go of when it is done.

All code of the node at once would take two thirds of the heap that an ESP32 has beside Wi-Fi; what a step leaves
behind is a reading, a few numbers, bytes.
"""

import gc
import sys


def step(function):
    """Let go of every module of the node that `function` loaded, once it has returned or raised."""

    def run(*arguments):
        before = set(sys.modules)
        try:
            return function(*arguments)
        finally:
            _let_go(before)

    return run


def _let_go(before):
    package = __name__.rpartition(".")[0]
    loaded = [name for name in sys.modules if name not in before and name.startswith(package + ".")]
    for name in loaded:
        parent, _, child = name.rpartition(".")
        del sys.modules[name]
        # A package holds its modules as attributes too.
        if hasattr(sys.modules.get(parent), child):
            delattr(sys.modules[parent], child)
    if loaded:
        gc.collect()
