"""The board as the node sees it: pins by their function, buses, clock, stores, sleep.

Beside main.py the only file that touches `machine`, `network` and `esp32`. Pins come from `board.json`, which the
host makes of boards/*.toml; boards/README.md documents every name.
"""

import gc
import json
import os
import time

try:
    import esp32
    import machine
    import network
except ImportError:
    # CPython: a tool may read this module; building a Board there fails at the first use.
    esp32 = machine = network = None

from borne_node import __version__
from borne_node.clock import Clock
from borne_node.errors import SensorFault, SettingsError, StorageError
from borne_node.records import Records
from borne_node.secrets import NVS_NAMESPACE, SECRETS, secret_key

_FILE = "board.json"
_BOOT_WINDOW_S = 3
_SLICE_MS = 100
# The longest wake is a Wi-Fi association, TLS and a full outbox; each has its own limit, together under two minutes.
_WATCHDOG_MS = 180_000
# A node that was left at its prompt goes back to work.
_PROMPT_MS = 3_600_000
_BLOB_USUAL = 64
_NOT_FOUND = 0x1102  # ESP_ERR_NVS_NOT_FOUND (nvs.h); MicroPython raises it negated
_BLOB_MAX = 4000  # ESP-IDF, NVS: a blob of at most 4000 bytes fits one page
_SPI_HZ = 8_000_000  # SX1276 datasheet 2.5.6: at most 10 MHz; SX1261/2 datasheet 8.2.1: 16 MHz
_I2C_HZ = 400_000  # QMC5883L, VEML7700 and TCA9548A are all fast-mode parts
_SUPPLY_MS = 10  # SX1276 datasheet 7.2.1: 10 ms from power-on until it may be spoken to
_SENSORS_MS = 100  # their supplies' capacitors, and what a ranger or magnetometer takes to wake
_DIVIDER_MS = 5  # some hundred kOhm and the pad's 100 nF
_PWM_HZ = 1000  # IEC 60929, annex E.3: 0.5 to 1 kHz; an RC filter behind it makes 0-10 V
_PIN_WAKES = (2, 3)  # esp_sleep_wakeup_cause_t: EXT0, EXT1


class Board:
    def __init__(self):
        # Collecting early keeps the heap's high-water mark near what is alive; 8 KiB costs a few ms a wake.
        gc.threshold(8192)
        with open(_FILE) as file:
            self.names = json.load(file)
        rtc = machine.RTC()
        self.clock = Clock(time, rtc)
        self.memory = Records(rtc.memory)
        self.nvs = NvsStore(NVS_NAMESPACE)
        self.reset_cause = machine.reset_cause()
        self.slept = self.reset_cause == machine.DEEPSLEEP_RESET
        self.woken_by_pin = machine.wake_reason() in _PIN_WAKES
        self.entropy = os.urandom
        self.follow = None  # what is called when somebody comes: set by dimmer.py
        self._watchdog = None
        self._fed = "sensor_power" not in self.names

    def host_is_waiting(self, seconds=_BOOT_WINDOW_S):
        """True when a host interrupts the boot window; a wake from deep sleep has no window and is never late."""
        if self.slept:
            return False
        print("borne %s: waiting %d s for a host, Ctrl-C to stay at the prompt" % (__version__, seconds))
        try:
            for _ in range(seconds * 1000 // _SLICE_MS):
                self.clock.sleep_ms(_SLICE_MS)
        except KeyboardInterrupt:
            print("borne: staying at the prompt")
            return True
        return False

    def i2c(self):
        self._feed_sensors()
        return machine.I2C(0, sda=self._pin("i2c_sda"), scl=self._pin("i2c_scl"), freq=_I2C_HZ)

    def uart(self, baudrate):
        self._feed_sensors()
        return machine.UART(
            1, baudrate=baudrate, tx=self._pin("uart_tx"), rx=self._pin("uart_rx"), timeout=0, rxbuf=256
        )

    def pulse(self):
        """A ranger with trigger and echo pins instead of a UART: the callable that chips/hc_sr04.py takes."""
        self._feed_sensors()
        trigger = machine.Pin(self.names["uart_tx"], machine.Pin.OUT, value=0)
        echo = machine.Pin(self.names["uart_rx"], machine.Pin.IN)

        def measure(trigger_us, limit_us):
            trigger.value(1)
            time.sleep_us(trigger_us)
            trigger.value(0)
            return machine.time_pulse_us(echo, 1, limit_us)

        return measure

    def _feed_sensors(self):
        """Deep sleep takes the supply away again: a pad that nobody drives."""
        if not self._fed:
            machine.Pin(self.names["sensor_power"], machine.Pin.OUT, value=1)
            self.clock.sleep_ms(_SENSORS_MS)
            self._fed = True

    def presence_pin(self):
        self._feed_sensors()
        return machine.Pin(self.names["pir"], machine.Pin.IN, machine.Pin.PULL_DOWN)

    def dimmer(self):
        """The PWM output that a lamp's brightness follows. Raises SettingsError on a board without one."""
        number = self.names.get("dimmer")
        if number is None:
            raise SettingsError("dimmer", "this board has no pin for it")
        return machine.PWM(machine.Pin(number), freq=_PWM_HZ, duty_u16=0)

    def feed(self):
        """Tell the watchdog that the node is well, where a wake has no end."""
        if self._watchdog:
            self._watchdog.feed()

    def wlan(self):
        return network.WLAN(network.STA_IF)

    def radio(self):
        """The driver of the LoRa chip, fresh from a reset. Raises SettingsError, or RadioFault where it is silent."""
        chip = self.names.get("radio")
        if chip is None:
            raise SettingsError("link", "this board has no LoRa radio")
        if "pmu" in self.names:
            self._feed_radio()
        if "lora_tcxo_enable" in self.names:
            machine.Pin(self.names["lora_tcxo_enable"], machine.Pin.OUT, value=1)
        spi = machine.SPI(
            1,
            baudrate=_SPI_HZ,
            sck=self._pin("lora_sck"),
            mosi=self._pin("lora_mosi"),
            miso=self._pin("lora_miso"),
        )
        cs, reset = (machine.Pin(self.names[n], machine.Pin.OUT, value=1) for n in ("lora_cs", "lora_reset"))
        if chip.startswith("sx127"):
            from borne_node.chips.sx127x import SX127x

            return SX127x(spi, cs, reset, self.clock, tcxo="lora_tcxo_enable" in self.names)
        from borne_node.chips.sx126x import SX126x

        return SX126x(
            spi,
            cs,
            reset,
            machine.Pin(self.names["lora_busy"], machine.Pin.IN),
            self.clock,
            chip,
            tcxo_mv=self.names.get("radio_tcxo_mv"),
            rf_switch=self.names["radio_dio2_switch"],
        )

    def _feed_radio(self):
        from borne_node.chips.axp192 import AXP192
        from borne_node.chips.lora import RadioFault

        try:
            AXP192(self.i2c()).power_radio()
        except SensorFault as fault:
            raise RadioFault("its supply: %s" % fault)
        self.clock.sleep_ms(_SUPPLY_MS)

    def noise(self, size):
        """`size` bytes of the generator while the Wi-Fi radio is on, which is when it is a true one.

        ESP32 Technical Reference Manual, Random Number Generator. A node with LoRa has Wi-Fi off otherwise.
        """
        wlan = self.wlan()
        was = wlan.active()
        wlan.active(True)
        try:
            return os.urandom(size)
        finally:
            wlan.active(was)

    def battery_uv(self):
        """Voltage of the cell, or at its divider's tap, in uV; None where the board measures none."""
        if "pmu" in self.names or "gauge" in self.names:
            try:
                return self._gauge().battery_uv()
            except SensorFault:
                return None
        number = self.names.get("battery_adc")
        if number is None:
            return None
        gate = self.names.get("battery_enable")
        if gate is not None:
            # It rests at the level that cuts the divider off, which differs between makes of one board.
            rest = machine.Pin(gate, machine.Pin.IN).value()
            machine.Pin(gate, machine.Pin.OUT, value=1 - rest)
            self.clock.sleep_ms(_DIVIDER_MS)
        found = machine.ADC(machine.Pin(number), atten=machine.ADC.ATTN_11DB).read_uv()
        if gate is not None:
            machine.Pin(gate, machine.Pin.IN)
        return found

    def _gauge(self):
        if "gauge" in self.names:
            from borne_node.chips.max17048 import MAX17048

            return MAX17048(self.i2c())
        from borne_node.chips.axp192 import AXP192

        return AXP192(self.i2c())

    def temperature(self):
        """The chip's own temperature in degrees Celsius, whole; the sensor is 4 K off at best."""
        if hasattr(esp32, "mcu_temperature"):
            return int(esp32.mcu_temperature())
        return (esp32.raw_temperature() - 32) * 5 // 9

    def secrets(self, slot):
        """The secrets of one slot: name -> bytes, absent ones left out."""
        found = {}
        for name in SECRETS:
            value = self.nvs.read(secret_key(name, slot))
            if value is not None:
                found[name] = value
        return found

    def watch(self):
        """Start the watchdog; it cannot be stopped again (docs: machine.WDT)."""
        self._watchdog = machine.WDT(timeout=_WATCHDOG_MS)

    def stay(self, reason):
        """Say why, and stay reachable at the prompt; where the watchdog runs, for an hour."""
        print("borne: staying at the prompt: %s" % reason)
        if self._watchdog:
            # It outlives a host's soft reset, and nobody feeds it there: so it must not bite amid the host's work.
            self._watchdog = machine.WDT(timeout=_PROMPT_MS)

    def deep_sleep(self, duration_ms, wake_pin=None):
        """Sleep; the next thing that runs is main.py. `wake_pin` (a Pin) wakes when it goes high."""
        if "lora_reset" in self.names:
            # A pin that drives NRESET pulses it as the chip falls asleep, and the radio comes back in standby, at
            # 1.6 mA; let go of, its own pull-up holds it (SX1276 datasheet 7.2; measured: loratracker.uk, 2018).
            machine.Pin(self.names["lora_reset"], machine.Pin.IN)
        if wake_pin is not None:
            esp32.wake_on_ext0(pin=wake_pin, level=esp32.WAKEUP_ANY_HIGH)
        machine.deepsleep(duration_ms)

    def reset(self):
        machine.reset()

    def _pin(self, function):
        return machine.Pin(self.names[function])


class NvsStore:
    """The Store seam over an NVS namespace: each record is a blob, so that provisioning and image can write them."""

    def __init__(self, namespace):
        self._nvs = esp32.NVS(namespace)

    def read(self, name):
        # Almost every record fits the first size; a certificate takes the second.
        for size in (_BLOB_USUAL, _BLOB_MAX):
            buffer = bytearray(size)
            try:
                return bytes(memoryview(buffer)[: self._nvs.get_blob(name, buffer)])
            except OSError:
                pass
        return None  # ESP_ERR_NVS_NOT_FOUND; anything else is as good as absent, and its reader fails closed

    def has(self, name):
        """Whether a record is there; none of it is read."""
        try:
            self._nvs.get_blob(name, bytearray(0))
        except OSError as error:
            return (
                abs(error.errno) != _NOT_FOUND
            )  # else ESP_ERR_NVS_INVALID_LENGTH: it does not fit into nothing
        return True

    def write(self, name, data):
        try:
            self._nvs.set_blob(name, data)
        except OSError as error:
            raise StorageError("NVS does not take %s: %s" % (name, error))

    def commit(self):
        self._nvs.commit()
