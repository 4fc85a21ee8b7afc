"""The link of the node: only what the settings name is loaded."""


def build(settings, board):
    """The Link for these settings (open, time, send, close); `board` has `wlan()`, `secrets(slot)` and `clock`."""
    from borne_node.link.wifi import WifiLink

    return WifiLink(board.wlan(), settings, board.secrets(settings["slot"]), board.clock)
