"""The switch of a deploy: new files, complete and beside the old ones, take their places, whatever cuts in.

The host leaves in the folder `deploy` the new files as `0`, `1`, ... and, last and by a rename, the list `ready`. Its
lines: `+N PATH` (file N becomes PATH), `-PATH` (is no longer part of the firmware). From then on the deploy is done, no
matter how often it is begun: each step is one commit of littlefs (a rename replaces; DESIGN.md, "The move problem"),
and skips what an earlier try did. main.py comes here before it loads anything else. Neither this module nor the form
of the list may change: the one that finishes a deploy may be the old one or the new one.
"""

import os

FOLDER = "deploy"
READY = FOLDER + "/ready"
_ENOENT = 2


def complete():
    """Carry out the list, then remove it and the folder. Raises OSError where the filesystem is damaged or full."""
    with open(READY) as file:
        lines = file.read().split("\n")
    # Closed by now: no file is open in a folder whose files go.
    for line in lines:
        _carry_out(line)
    os.remove(READY)
    _quietly(os.rmdir, FOLDER)


def _carry_out(line):
    if line[:1] == "-":
        try:
            os.remove(line[1:])
        except OSError:
            pass  # gone already; and a file too many is no reason not to start
        _tidy(line[1:])
    elif line[:1] == "+":
        number, _, path = line[1:].partition(" ")
        _make_folders(path)
        _quietly(os.rename, FOLDER + "/" + number, path)


def _make_folders(path):
    at = path.find("/")
    while at > 0:
        try:
            os.mkdir(path[:at])
        except OSError:
            pass  # is there; if it cannot be made, the rename says so
        at = path.find("/", at + 1)


def _tidy(path):
    """Remove the folders that a removed file leaves empty."""
    while "/" in path:
        path = path[: path.rfind("/")]
        try:
            os.rmdir(path)
        except OSError:
            return  # not empty, or gone


def _quietly(operation, *paths):
    try:
        operation(*paths)
    except OSError as error:
        if error.errno != _ENOENT:
            raise
