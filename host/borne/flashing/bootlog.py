"""What a boot log says about a board that does not work, and what to do about it. A pure function over text.

Sources: esptool documentation, "Boot Mode Selection" (the ROM's lines; the bits of `boot:0x..`) and "Troubleshooting";
ESP-IDF Programming Guide, "Fatal Errors" (panics, brown-out, watchdogs) and "Application Startup Flow";
rom/rtc.h (RESET_REASON).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_RESET: Final = re.compile(r"rst:(0x[0-9a-f]+) \(([A-Z0-9_]+)\),boot:(0x[0-9a-f]+) \(([^\r\n]*)\)")
_SMALLER: Final = re.compile(
    r"Detected size\((\d+)k\) smaller than the size in the binary image header\((\d+)k\)"
)
_PANIC: Final = re.compile(r"Guru Meditation Error: Core +\d panic'ed \(([^)]+)\)")
_MISMATCH: Final = re.compile(r"mismatch chip ID, expected (\d+), found (\d+)")
# rst:0x.. that no power-up and no sleep explains: three in one log are a loop.
_UNWANTED: Final = ("WDT", "PANIC", "SW_CPU_RESET", "BROWN_OUT", "SW_RESET", "RTCWDT")
_LOOP: Final = 3
# esptool, "Boot Mode Selection", ESP32: bit 5 of the strapping value is GPIO12 (MTDI).
_ESP32_GPIO12: Final = 0x20
# What a wrong baud rate makes of text is mostly no ASCII.
_NOISE: Final = 0.25
_NOISE_LEAST: Final = 16
_CHIPS: Final = {0: "ESP32", 2: "ESP32-S2", 5: "ESP32-C3", 9: "ESP32-S3", 12: "ESP32-C2", 13: "ESP32-C6"}


@dataclass(frozen=True)
class Finding:
    """`what` the log says, and the `advice` on it; `name` tells one from another."""

    name: str
    what: str
    advice: str


# Text that is there or not; the first that fits of each name counts.
_TEXTS: Final = (
    (
        "brown-out",
        re.compile(r"Brownout detector was triggered|RTCWDT_BROWN_OUT_RESET"),
        "the supply broke down",
        "use a short, thick USB cable and a port with its own power; charge the battery; radios draw 500 mA at once",
    ),
    (
        "no firmware",
        re.compile(r"invalid header: 0xffffffff"),
        "the flash is empty where the bootloader belongs",
        "flash the board: borne flash",
    ),
    (
        "damaged flash",
        re.compile(
            r"invalid header: 0x(?!ffffffff)[0-9a-f]+|csum err:|has invalid magic byte|SHA-256 comparison failed"
        ),
        "what lies in the flash is no whole image",
        "flash the board again: borne flash; if it comes back, another cable or supply",
    ),
    (
        "flash unreadable",
        re.compile(r"flash read err, \d+"),
        "the chip cannot read its flash",
        "take what is wired to GPIO 6 to 12 off and reset; else a weak supply, or a flash chip that is broken",
    ),
    (
        "filesystem",
        re.compile(r"The filesystem appears to be corrupted"),
        "MicroPython cannot read the filesystem",
        "flash the board again: borne flash",
    ),
    (
        "no app",
        re.compile(r"No bootable app partitions|partition 0 invalid|Failed to verify partition table"),
        "the bootloader finds no application",
        "flash the board again: borne flash",
    ),
    (
        "firmware",
        re.compile(r"borne: the firmware does not start: (\w+)"),
        "a module of the firmware does not load",
        "send it again: borne deploy",
    ),
    (
        "safe mode",
        re.compile(r"borne: safe mode"),
        "three wakes in a row failed",
        "see what failed: borne logs; then borne self-test",
    ),
    (
        "not provisioned",
        re.compile(r"provision this node \(again\)"),
        "the node has no valid settings",
        "borne provision",
    ),
    (
        "memory",
        re.compile(r"MemoryError"),
        "MicroPython ran out of memory",
        "is it the firmware of this borne? borne deploy; then borne info",
    ),
)


def read(text: str) -> list[Finding]:
    """What is wrong by this log, the causes before their effects. Empty: nothing that is known."""
    if _is_noise(text):
        return [
            Finding(
                "noise",
                "what comes is no text",
                "the board talks at another speed than 115200 baud, or ground or the cable is loose",
            )
        ]
    found = [*_modes(text), *_sizes(text)]
    for name, pattern, what, advice in _TEXTS:
        if pattern.search(text):
            found.append(Finding(name, what, advice))
    return found + list(_ends(text, known=bool(found)))


def _is_noise(text: str) -> bool:
    strange = sum(
        not (letter.isascii() and (letter.isprintable() or letter in "\r\n\t\x1b")) for letter in text
    )
    return len(text) >= _NOISE_LEAST and strange > _NOISE * len(text)


def _modes(text: str) -> list[Finding]:
    found = []
    resets = list(_RESET.finditer(text))
    last = resets[-1] if resets else None
    if last and "DOWNLOAD" in last[4] or "waiting for download" in text:
        found.append(
            Finding(
                "download mode",
                f"it waits for a flash tool (boot:{last[3] if last else '?'})",
                "release BOOT and press RESET; if it stays, GPIO 0 (C3: GPIO 9) is pulled low by what is wired to it",
            )
        )
    # Only the first ESP32's ROM names the mode so, and only there bit 5 is GPIO12.
    if last and "SPI_FAST_FLASH_BOOT" in last[4] and int(last[3], 16) & _ESP32_GPIO12 and "ets " in text:
        found.append(
            Finding(
                "GPIO 12 high",
                f"GPIO 12 was high at reset (boot:{last[3]}): the chip gives its flash 1.8 V",
                "take off what pulls GPIO 12 up, or burn the fuse for 3.3 V (espefuse set-flash-voltage)",
            )
        )
    return found


def _sizes(text: str) -> list[Finding]:
    found = []
    smaller = _SMALLER.search(text)
    if smaller:
        has, needs = (f"{int(size) // 1024 or int(size) / 1024:g} MB" for size in smaller.groups())
        found.append(
            Finding(
                "flash size",
                f"the flash has {has}, the image is made for {needs}",
                "flash it as the board that it is: borne boards, then borne flash",
            )
        )
    chip = _MISMATCH.search(text)
    if chip:
        wants, has = (_CHIPS.get(int(number), f"chip {number}") for number in chip.groups())
        found.append(
            Finding(
                "chip", f"the image is for {has}, the chip is an {wants}", "flash it as the board that it is"
            )
        )
    return found


def _ends(text: str, known: bool) -> list[Finding]:
    """How it ends again and again, where nothing above says why."""
    found = []
    panic = _PANIC.search(text)
    if panic:
        found.append(
            Finding(
                "panic",
                f"MicroPython itself crashed ({panic[1]})",
                "flash it again; if it comes back, the supply or the board",
            )
        )
    unwanted = [match[2] for match in _RESET.finditer(text) if any(one in match[2] for one in _UNWANTED)]
    if len(unwanted) >= _LOOP:
        found.append(
            Finding(
                "crash loop",
                f"it starts again and again ({len(unwanted)} resets, the last: {unwanted[-1]})",
                "see above"
                if known or panic
                else "watch the supply; then borne logs, borne deploy, borne flash",
            )
        )
    elif unwanted and "WDT" in unwanted[-1] and not known:
        found.append(
            Finding("watchdog", f"the watchdog reset it ({unwanted[-1]})", "a program hung: borne logs")
        )
    return found
