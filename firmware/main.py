"""What the board starts: finish a deploy, wait for a host where that makes sense, then wake once and sleep again."""

import os
import time

import machine

_WINDOW_S = 300
_REST_MS = 3_600_000


def main():
    try:
        os.stat("deploy/ready")
    except OSError:
        pass
    else:
        from borne_node import switch

        switch.complete()
        machine.reset()
    from borne_node import hardware

    board = hardware.Board()
    if board.host_is_waiting():
        from borne_node import rescue

        return rescue.end(board)
    from borne_node import app

    app.run(board)


def last_resort(reason):
    """What app.run never saw, such as a module that does not load: stay reachable, rest, and try again."""
    print("borne: the firmware does not start: %s; Ctrl-C for the prompt" % reason)
    time.sleep(_WINDOW_S)
    machine.deepsleep(_REST_MS)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        last_resort(type(error).__name__)
