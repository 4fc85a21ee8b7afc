# mypy: ignore-errors
"""`os` without the host's parts, and with the entropy and the names of the board."""

import _link
import _ops
import uos

chdir = uos.chdir
getcwd = uos.getcwd
ilistdir = uos.ilistdir
listdir = uos.listdir
mkdir = uos.mkdir
mount = uos.mount
remove = uos.remove
rename = uos.rename
rmdir = uos.rmdir
stat = uos.stat
statvfs = uos.statvfs
umount = uos.umount
unlink = uos.unlink
sep = "/"
VfsFat = uos.VfsFat
VfsLfs2 = uos.VfsLfs2


def urandom(n):
    out = bytearray(n)
    _link.fill(memoryview(out), _link.ask(_ops.RANDOM, "<I", n))
    return bytes(out)


def sync():
    pass


def dupterm(stream, index=0):
    return None


class _Uname(tuple):
    sysname = property(lambda self: self[0])
    nodename = property(lambda self: self[1])
    release = property(lambda self: self[2])
    version = property(lambda self: self[3])
    machine = property(lambda self: self[4])


_machine = "ESP32"


def _set_machine(name):
    global _machine
    _machine = name


def uname():
    release = "1.25.0"
    return _Uname(
        (
            "esp32",
            "esp32",
            release,
            "v1.25.0 on 2025-04-15",
            "Generic %s module with %s" % (_machine, _machine),
        )
    )
