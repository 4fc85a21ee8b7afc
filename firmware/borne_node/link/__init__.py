"""The link of the node: only what the settings name is loaded."""


def build(settings, board):
    """The Link for these settings (open, time, rate, send, close).

    `board` has `wlan()` or `radio()`, `secrets(slot)`, `clock`, `nvs`, `memory`, `entropy` and what power.py asks for.
    Raises SettingsError.
    """
    secrets = board.secrets(settings["slot"])
    if settings["link"] == "lorawan":
        return _lorawan(settings, secrets, board)
    from borne_node.link.wifi import WifiLink

    return WifiLink(board.wlan(), settings, secrets, board.clock)


def _lorawan(settings, secrets, board):
    from binascii import unhexlify

    from cryptolib import aes

    from borne_node.errors import SettingsError
    from borne_node.link.lorawan.link import LoraWanLink

    if "app_key" not in secrets:
        raise SettingsError("app_key", "is missing")
    identity = {name: unhexlify(settings[name]) for name in ("join_eui", "dev_eui")}
    identity["app_key"] = secrets["app_key"]

    def battery():
        from borne_node.link.lorawan.battery import level

        return level(board)

    return LoraWanLink(
        board.radio,
        identity,
        settings["region"],
        board.clock,
        board.entropy,
        aes,
        board.nvs,
        board.memory,
        fair_use_s=settings["fair_use_s"],
        gain=settings["antenna_dbi"],
        battery=battery,
    )
