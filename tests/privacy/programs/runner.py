"""Runs one program of this folder: `micropython runner.py PROGRAM ARGUMENTS PATH...`; what it tells goes out marked."""

import gc
import json
import sys


def tell(thing):
    print("@ " + json.dumps(thing))


def main(program, arguments, *path):
    sys.path[:] = list(path) + [".frozen"]
    # A board collects at every 8 KiB; here thousands of boots share a big heap, and the outcome is the same.
    gc.threshold(1_000_000)
    __import__(program).main(tell, **json.loads(arguments))


main(*sys.argv[1:])
