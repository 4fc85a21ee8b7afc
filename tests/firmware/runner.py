"""Run one firmware test file on MicroPython and print one JSON line a test: `micropython runner.py FILE PATH...`"""

import gc
import io
import json
import sys


def main(file, *path):
    # The firmware under test comes first; '' would let a test's folder shadow it.
    sys.path[:] = list(path) + [".frozen"]
    gc.threshold(8192)  # as main.py does on the board
    namespace = __import__(file.rsplit("/", 1)[-1][:-3])
    for name in sorted(dir(namespace)):
        if name.startswith("test_"):
            report(name, outcome(getattr(namespace, name)))


def outcome(test):
    try:
        test()
    except BaseException as error:
        trace = io.StringIO()
        sys.print_exception(error, trace)
        return trace.getvalue()


def report(name, failure):
    print("@test " + json.dumps({"test": name, "failure": failure}))


main(*sys.argv[1:])
