# mypy: ignore-errors
"""What the ESP32's main task does after the chip has booted: mount, boot.py, main.py, then the prompt."""

import gc
import io
import os
import select
import struct
import sys
import time

import _link
import _ops
import esp32
import machine
import network
import vfs

# Loaded while the host's filesystem is still there, for whoever imports them later.
import esp  # noqa: F401  # isort: skip
import ntptime  # noqa: F401  # isort: skip
import socket  # noqa: F401  # isort: skip

import __main__

_programs = ["boot.py", "main.py"]


def start():
    """Runs in the fresh process; when it returns, the interpreter shows its prompt.

    Ctrl-C ends a program and nothing else (shared/runtime/pyexec.c). The supervisor passes none on between them, but
    one may be on its way when a program ends.
    """
    _come_up()
    while True:
        try:
            _link.ask(_ops.PHASE, "<B", _ops.PHASE_SYSTEM)
            while _programs:
                _run(_programs.pop(0))
                _link.ask(_ops.PHASE, "<B", _ops.PHASE_SYSTEM)
            _link.ask(_ops.PHASE, "<B", _ops.PHASE_REPL)
            return
        except KeyboardInterrupt:
            pass


def _come_up():
    hello = bytes(_link.ask(_ops.HELLO))
    cause, wake, skip_main, vfs_at, rtc_us, patience, size, count = struct.unpack("<BBBbqHIB", hello)
    mac, chip = hello[19:25], hello[25:33].rstrip(b"\0").decode()
    machine._hello.update({"cause": cause, "wake": wake, "mac": mac})
    network._state["mac"] = mac
    time._set_base(rtc_us - _link.state.ticks_us)
    select._set_patience(patience)
    esp32._install(chip)
    os._set_machine(chip.upper())
    _partitions(hello[33:], size, count)
    _clear_host()
    gc.collect()
    if vfs_at >= 0:
        _mount(esp32.Partition(esp32.Partition._table[vfs_at]))
    if skip_main:
        del _programs[1:]


def _partitions(raw, size, count):
    table = []
    for n in range(count):
        type_, subtype, start, length, label = struct.unpack("<BBII16s", raw[n * 26 : n * 26 + 26])
        table.append((type_, subtype, start, length, label.rstrip(b"\0").decode(), False))
    esp32.Partition._attach(size, tuple(table))


def _clear_host():
    """Let the host's filesystem and search path disappear."""
    vfs.umount("/")
    sys.path[:] = ["", ".frozen", "/lib"]
    sys.argv[:] = []


def _mount(bdev):
    # ports/esp32/modules/_boot.py and inisetup.py
    try:
        vfs.mount(vfs.VfsLfs2(bdev, progsize=32, readsize=32, lookahead=32), "/")
        return
    except OSError:
        pass
    buf = bytearray(bdev.BLOCK)
    bdev.readblocks(0, buf)
    while any(b != 0xFF for b in buf):
        _link.ask(_ops.PHASE, "<B", _ops.PHASE_CORRUPT)
        print(
            "The filesystem appears to be corrupted. If you had important data there, you\n"
            "may want to make a flash snapshot to try to recover it. Otherwise, perform\n"
            "factory reprogramming of MicroPython firmware (completely erase flash, followed\n"
            "by firmware programming).\n"
        )
        try:
            time.sleep(3)
        except KeyboardInterrupt:
            return
    print("Performing initial setup")
    vfs.VfsLfs2.mkfs(bdev)
    vfs.mount(vfs.VfsLfs2(bdev), "/")
    with open("boot.py", "w") as file:
        file.write(
            "# This file is executed on every boot (including wake-boot from deepsleep)\n"
            "#import esp\n#esp.osdebug(None)\n#import webrepl\n#webrepl.start()\n"
        )


def _run(name):
    try:
        os.stat(name)
    except OSError:
        return
    try:
        _link.ask(_ops.PHASE, "<B", _ops.PHASE_PROGRAM)
        execfile(name, __main__.__dict__)  # noqa: F821
    except SystemExit:
        _link.call_forever(_ops.SOFT_RESET)
    except BaseException as error:
        _print_exception(error)
    gc.collect()


def _print_exception(error):
    """Without the frame of this file, which the chip has in C."""
    text = io.StringIO()
    sys.print_exception(error, text)
    for line in text.getvalue().split("\n")[:-1]:
        if 'File "_board.py"' not in line:
            print(line)


start()
