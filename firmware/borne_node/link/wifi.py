"""The Wi-Fi link: associate, set the clock, send reports by MQTT, radio off."""

from borne_node.compat import const, ticks_diff
from borne_node.errors import LinkDown, LinkRefused, PayloadTooLong
from borne_node.link.mqtt import CONNECT_MS, Mqtt
from borne_node.link.stream import Limit, connect, tls_context

PAYLOAD_MAX = const(51)  # as the outbox

_ASSOCIATE_MS = const(20_000)  # scan of 13 channels 1.5 s, WPA2 0.5 s, DHCP up to 10 s on busy access points
_POLL_MS = const(50)
# From v1.25 on status() tells of a failed attempt while the driver still tries again.
_PATIENCE_MS = const(5_000)
# A slow broker with a full outbox must not hold the radio on until the watchdog (180 s) bites.
_SESSION_MS = const(90_000)
_NTP_TRIES = const(2)
_NTP_TIMEOUT_S = const(2)
_SECONDS_1970_TO_2000 = const(946684800)
# Attempts of the driver itself; without a number it goes on for ever and v1.20 never gives the reason
# (ports/esp32/network_wlan.c, network_wlan_status).
_RECONNECTS = const(2)

# status() passes ESP-IDF's wifi_err_reason_t through (esp_wifi_types.h). 15 and 204 are handshakes that timed
# out: how a wrong WPA2 password ends when the access point does not say so, but a poor signal too, so they
# are LinkDown.
_REASONS = {
    15: "wrong password, or a poor signal",
    200: "signal lost",
    201: "network not found",
    202: "wrong password",
    203: "access point does not accept this node",
    204: "wrong password, or a poor signal",
    210: "network not found with a security this node speaks",
    211: "network not found with a security this node speaks",
    212: "signal too weak",
}
_REFUSED = (202, 210, 211)
_CONNECTING = (1000, 1001, 1010)  # STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP


class WifiLink:
    """`wlan` is a network.WLAN for stations; `settings` as validated; `secrets` a dict of name -> bytes.

    The modules socket, select, ssl and ntptime are imported when they are needed, or handed in.
    """

    def __init__(self, wlan, settings, secrets, clock, socket=None, select=None, ssl=None, ntptime=None):
        self._wlan = wlan
        self._settings = settings
        self._secrets = secrets
        self._clock = clock
        self._modules = {"socket": socket, "select": select, "ssl": ssl, "ntptime": ntptime}
        self._opened = None
        self._stream = None
        self._mqtt = None

    def open(self):
        """Radio on, associate, get an address. Raises LinkDown or LinkRefused; close() follows always."""
        self._opened = self._clock.ticks_ms()
        try:
            self._wlan.active(True)
            self._wlan.config(reconnects=_RECONNECTS)
            password = self._secrets.get("wifi_password")
            if password:
                self._wlan.connect(self._settings["wifi_ssid"], str(password, "utf-8"))
            else:
                self._wlan.connect(self._settings["wifi_ssid"])
            self._associate()
        except (OSError, UnicodeError) as error:
            # "Wifi Internal State Error" and the like: the driver, not the network.
            raise LinkDown("Wi-Fi: %s" % error)

    def time(self, reports=0):
        """Unix time in seconds by NTP, or None when nobody tells it. Needs open(); TLS needs a set clock.

        `reports` as in LoraWanLink: asking costs nothing here, so it changes nothing.
        """
        ntptime = self._module("ntptime")
        ntptime.host = self._settings["ntp_host"]
        ntptime.timeout = _NTP_TIMEOUT_S
        for _ in range(_NTP_TRIES):
            try:
                # ntptime counts from the port's own epoch (ntptime.py).
                epoch = __import__("time").gmtime(0)[0]
                return ntptime.time() + (_SECONDS_1970_TO_2000 if epoch == 2000 else 0)
            except (OSError, ValueError):  # ValueError: a datagram too short to unpack
                pass
        return None

    def rate(self):
        """Nothing: what a byte costs does not depend on the radio."""

    def send(self, port, payload):
        """Send one report, connecting first if need be. Returns a downlink (port, bytes) or None.

        Raises PayloadTooLong, LinkDown or LinkRefused; after a LinkDown the report may have arrived.
        """
        if len(payload) > PAYLOAD_MAX:
            raise PayloadTooLong("%d bytes, this link takes %d" % (len(payload), PAYLOAD_MAX))
        if self._opened is None:
            raise LinkDown("the link is not open")
        if ticks_diff(self._clock.ticks_ms(), self._opened) > _SESSION_MS:
            raise LinkDown("the session has lasted too long")
        try:
            if self._mqtt is None:
                self._connect()
            self._mqtt.publish(port, payload)
            return self._mqtt.downlink()
        except LinkDown:
            self._hang_up()
            raise

    def close(self):
        """Take leave, radio off. Never raises; may be called at any time."""
        try:
            if self._mqtt:
                self._mqtt.disconnect()
        except LinkDown:
            pass
        self._hang_up()
        self._opened = None
        for step in (self._wlan.disconnect, self._radio_off):
            try:
                step()
            except OSError:
                pass

    def _associate(self):
        waited = 0
        while not self._wlan.isconnected():
            status = self._wlan.status()
            if waited >= _ASSOCIATE_MS or (status not in _CONNECTING and waited >= _PATIENCE_MS):
                reason = _REASONS.get(status, "no connection (status %s)" % status)
                kind = LinkRefused if status in _REFUSED else LinkDown
                raise kind("Wi-Fi %s: %s" % (self._settings["wifi_ssid"], reason))
            self._clock.sleep_ms(_POLL_MS)
            waited += _POLL_MS

    def _connect(self):
        settings = self._settings
        context = None
        if settings["mqtt_tls"]:
            if not self._clock.is_set:
                raise LinkDown("the clock is not set, and certificates have dates")
            secret = self._secrets.get
            context = tls_context(
                self._module("ssl"), secret("mqtt_ca"), secret("mqtt_cert"), secret("mqtt_key")
            )
        limit = Limit(self._clock, CONNECT_MS)
        self._stream = connect(
            settings["mqtt_host"],
            settings["mqtt_port"],
            limit,
            self._module("socket"),
            self._module("select"),
            context,
        )
        mqtt = Mqtt(self._stream, self._clock, settings["name"])
        mqtt.connect(settings["mqtt_user"], self._secrets.get("mqtt_password", b""))
        self._mqtt = mqtt

    def _hang_up(self):
        self._mqtt = None
        if self._stream:
            self._stream.close()
            self._stream = None

    def _radio_off(self):
        self._wlan.active(False)

    def _module(self, name):
        return self._modules[name] or __import__(name)
