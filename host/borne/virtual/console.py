"""What a virtual board prints: its boot log, and MicroPython's output as the ESP32 sends it over its UART."""

from __future__ import annotations

import re

RAW_PROMPT = b"raw REPL; CTRL-B to exit\r\n"
_FRIENDLY = b'Type "help()" for more information.\r\n'
_MODES = re.compile(re.escape(RAW_PROMPT) + b"|" + re.escape(_FRIENDLY))
# The unix port's banner, and what the ESP32's says in its place.
_BANNER = re.compile(rb"MicroPython [^\r\n]*; [^\r\n]* version\r\n")

# rom/rtc.h: RESET_REASON, and its names as the ROM prints them
POWER_ON, SOFTWARE, DEEP_SLEEP, WATCHDOG, PANIC = 0x1, 0xC, 0x5, 0x8, 0x100
_RESETS = {
    POWER_ON: "rst:0x1 (POWERON_RESET)",
    SOFTWARE: "rst:0xc (SW_CPU_RESET)",
    DEEP_SLEEP: "rst:0x5 (DEEPSLEEP_RESET)",
    WATCHDOG: "rst:0x8 (TG1WDT_SYS_RESET)",
    PANIC: "rst:0xc (SW_CPU_RESET)",
}
_ROM_BUILD = {
    "esp32": "ets Jul 29 2019 12:21:46",
    "esp32s3": "ESP-ROM:esp32s3-20210327\r\nBuild:Mar 27 2021",
    "esp32c3": "ESP-ROM:esp32c3-api1-20210207\r\nBuild:Feb  7 2021",
}
_LOADING = (
    "configsip: 0, SPIWP:0xee\r\n"
    "clk_drv:0x00,q_drv:0x00,d_drv:0x00,cs0_drv:0x00,hd_drv:0x00,wp_drv:0x00\r\n"
    "mode:DIO, clock div:2\r\n"
    "load:0x3fff0030,len:4892\r\n"
    "ho 0 tail 12 room 4\r\n"
    "load:0x40078000,len:14896\r\n"
    "load:0x40080400,len:4\r\n"
    "load:0x40080404,len:3372\r\n"
    "entry 0x400805b0\r\n"
)


def reset_lines(chip: str, reason: int) -> str:
    return f"{_ROM_BUILD[chip]}\r\n\r\n{_RESETS[reason]},boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n"


def boot_log(chip: str, reason: int) -> str:
    return reset_lines(chip, reason) + _LOADING


def panic() -> str:
    return "Guru Meditation Error: Core  1 panic'ed (LoadProhibited). Exception was unhandled.\r\n\r\nRebooting...\r\n"


class Console:
    """MicroPython's bytes on their way to the host: `\\n` becomes `\\r\\n` outside the raw REPL.

    In the raw REPL binary output must pass unchanged; the mode is read off MicroPython's own announcements.
    """

    def __init__(self, chip: str) -> None:
        self._banner = (
            f"MicroPython v1.25.0 on 2025-04-15; Generic {chip.upper()} module with {chip.upper()}\r\n"
        )
        self.start(False)

    def start(self, raw: bool) -> None:
        """A fresh process. In the raw REPL its friendly start is not shown: the host sees one unbroken raw session."""
        self.raw = False
        self._held_back = raw
        self._tail = b""
        self._after_return = False
        self._hiding = b""
        self._begun = b""

    def hide_until_raw(self) -> bool:
        """Start hiding, if the process began in raw mode: its own friendly prompt follows. Says whether it does."""
        hiding, self._held_back = self._held_back, False
        self._hide = hiding
        return hiding

    _hide = False

    def pass_on(self, data: bytes) -> bytes:
        if self._hide:
            self._hiding += data
            at = self._hiding.find(RAW_PROMPT)
            if at < 0:
                return b""
            data, self._hide = self._hiding[at:], False
        data = self._whole_banner(data)
        out = b""
        start = 0
        for found in _MODES.finditer(data):
            out += self._translate(data[start : found.end()])
            self.raw = found.group() == RAW_PROMPT
            start = found.end()
        out += self._translate(data[start:])
        self._watch_split_mark(data)
        return _BANNER.sub(self._banner.encode(), out)

    def _whole_banner(self, data: bytes) -> bytes:
        """MicroPython writes its banner in pieces: keep what has come of it until its line ends."""
        data, self._begun = self._begun + data, b""
        at = data.rfind(b"\n") + 1
        if not self.raw and data.startswith(b"MicroPython ", at):
            data, self._begun = data[:at], data[at:]
        return data

    def _translate(self, data: bytes) -> bytes:
        if not data or self.raw:
            self._after_return = data[-1:] == b"\r"
            return data
        head = b"\r" if self._after_return and data[:1] == b"\n" else b""
        self._after_return = data[-1:] == b"\r"
        return re.sub(rb"(?<!\r)\n", b"\r\n", head + data)[len(head) :]

    def _watch_split_mark(self, data: bytes) -> None:
        """An announcement may come in two reads."""
        joined = self._tail + data
        for found in _MODES.finditer(joined):
            self.raw = found.group() == RAW_PROMPT
        self._tail = joined[-len(_FRIENDLY) :]
