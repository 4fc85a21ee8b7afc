"""The calls from the emulated chip's software (MicroPython) to its hardware (the supervisor), written down once.

A request is `op u8, sequence u8, length u16, microseconds spent since the last call u32` and a payload of that length.
An answer is `sequence u8, status u8, length u16, microseconds since boot u64` and a payload, filled up to PIECE bytes.
All little-endian. Each is one message (SOCK_SEQPACKET), read and written in one go: Ctrl-C may come at any time, and
loses none or all of it.
"""

REQUEST = 8
ANSWER = 12
# Larger payloads travel in pieces of this size: STAGE before the call, MORE after it.
PIECE = 2048

OK = 0
OS_ERROR = 1  # payload: errno (i32)
IDF_ERROR = 2  # payload: esp_err_t (i32), then its name
MISUSE = 3  # payload: what the simulated chip complains about

LINK_UP = 0x80  # bit of the status: the station has an address

HELLO = 1
WAIT = 2
SYNC = 3
PHASE = 4
RESET = 5
DEEPSLEEP = 6
STAGE = 7
MORE = 8
SOFT_RESET = 9

PIN_OPEN = 10
PIN_GET = 11
PIN_SET = 12
PIN_IRQ = 13
PWM_SET = 14
PULSE = 15

I2C_OPEN = 20
I2C_TRANSFER = 21
I2C_SCAN = 22

UART_OPEN = 30
UART_ANY = 31
UART_READ = 32
UART_WRITE = 33

SPI_OPEN = 40
SPI_TRANSFER = 41

ADC_READ = 50
CELSIUS = 51

RTC_READ = 60
RTC_WRITE = 61
RTC_SET = 62

WDT_FEED = 70
TIMER_COUNT = 71

NVS_GET_I32 = 80
NVS_SET_I32 = 81
NVS_GET_BLOB = 82
NVS_SET_BLOB = 83
NVS_ERASE = 84
NVS_COMMIT = 85
NVS_OPEN = 86

WLAN_ACTIVE = 90
WLAN_CONNECT = 91
WLAN_STATUS = 92
WLAN_DISCONNECT = 93
WLAN_SCAN = 94
WLAN_RECONNECTS = 95

RANDOM = 100
NTP = 101

# WAIT: bit of its flags
UNTIL_INPUT = 1
# PHASE
PHASE_SYSTEM = 0  # the port's own code runs: before, between and after boot.py and main.py
PHASE_PROGRAM = 1  # boot.py or main.py runs
PHASE_REPL = 2  # the prompt comes next
PHASE_CORRUPT = 3  # it complains of its filesystem until Ctrl-C
