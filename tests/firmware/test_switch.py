# micropython only
# heap 2000wK
"""A deploy is switched as a whole, although the power may go at every write of the flash."""

import os

import vfs
from disk import FlashDisk
from support import raises

from borne_node import switch

OPTIONS = {"readsize": 32, "progsize": 32, "lookahead": 32}
OLD = {
    "main.py": b"old main",
    "borne_node/app.mpy": b"old app" * 400,
    "borne_node/same.mpy": b"same" * 300,
    "borne_node/gone.mpy": b"gone" * 50,
    "borne_node/was/a.mpy": b"a" * 30,
    "borne_node/was/b.mpy": b"b" * 3000,
    "settings.json": b"{}",
    "outbox/00": b"report",
}
NEW = {
    "main.py": b"new main" * 40,
    "borne_node/app.mpy": b"new app" * 300,
    "borne_node/same.mpy": b"same" * 300,
    "borne_node/deep/er/c.mpy": b"c" * 500,
    "borne_node/was.mpy": b"a module that was a package",
    "settings.json": b"{}",
    "outbox/00": b"report",
}
READY = """\
-borne_node/gone.mpy
-borne_node/was/a.mpy
-borne_node/was/b.mpy
+0 main.py
+1 borne_node/app.mpy
+2 borne_node/deep/er/c.mpy
+3 borne_node/was.mpy
"""


class Flash:
    """littlefs on a NOR flash that can lose its power; as the working folder."""

    def __init__(self, blocks=64):
        self.disk = FlashDisk(blocks)
        vfs.VfsLfs2.mkfs(self.disk, **OPTIONS)
        self.mount()

    def mount(self):
        if "flash" in os.listdir("/"):
            vfs.umount("/flash")
        vfs.mount(vfs.VfsLfs2(self.disk, **OPTIONS), "/flash")
        os.chdir("/flash")

    def write(self, path, data):
        at = path.find("/")
        while at > 0:
            try:
                os.mkdir(path[:at])
            except OSError:
                pass
            at = path.find("/", at + 1)
        with open(path, "wb") as file:
            file.write(data)

    def files(self, folder=""):
        """Path to content of everything; a folder without anything in it is a None."""
        found = {}
        entries = list(os.ilistdir(folder or "/flash"))
        for entry in entries:
            path = folder + entry[0]
            if entry[1] & 0x4000:
                found.update(self.files(path + "/"))
            else:
                with open(path, "rb") as file:
                    found[path] = file.read()
        if folder and not entries:
            found[folder] = None
        return found

    def firmware(self):
        """The same; the empty folder of a deploy that was cut at its very end is nobody's."""
        found = self.files()
        found.pop("deploy/", None)
        return found


def staged(ready=True):
    flash = Flash()
    for path in sorted(OLD):
        flash.write(path, OLD[path])
    for path in set(NEW) - {"borne_node/same.mpy", "settings.json", "outbox/00"}:
        name = READY[READY.find(" " + path + "\n") - 1]
        flash.write(switch.FOLDER + "/" + name, NEW[path])
    if ready:
        flash.write(switch.READY, READY.encode())
    return flash


def boot():
    """What main.py does before anything else."""
    try:
        os.stat(switch.READY)
    except OSError:
        return
    switch.complete()


def test_a_list_is_carried_out_and_nothing_is_left_of_it():
    flash = staged()
    boot()
    assert flash.files() == NEW


def test_without_the_list_nothing_has_happened():
    flash = staged(ready=False)
    boot()
    found = flash.files()
    assert {path: data for path, data in found.items() if not path.startswith("deploy/")} == OLD


def test_the_power_may_go_at_every_write():
    cuts = 0
    while True:
        flash = staged()
        flash.disk.cut_after = cuts
        try:
            boot()
        except OSError:
            pass
        whole = not flash.disk.off
        flash.disk.power_on()
        flash.mount()
        boot()
        assert flash.firmware() == NEW, cuts
        if whole:
            break
        cuts += 1
    assert cuts > 15, cuts


def test_and_again_while_it_is_being_finished():
    for first in range(0, 20, 3):
        for second in range(0, 12, 2):
            flash = staged()
            for cut in (first, second):
                flash.disk.cut_after = cut
                try:
                    boot()
                except OSError:
                    pass
                flash.disk.power_on()
                flash.mount()
            boot()
            assert flash.firmware() == NEW, (first, second)


def test_a_damaged_list_raises_and_keeps_the_old_files():
    flash = staged(ready=False)
    os.mkdir("borne_node/x.mpy")
    flash.write(switch.READY, b"+0 borne_node/x.mpy\n")
    with raises(OSError):
        boot()
    assert flash.files()["borne_node/app.mpy"] == OLD["borne_node/app.mpy"]
