"""What the board starts: finish a deploy, wait for a host where that makes sense, then wake once and sleep again."""

import os


def main():
    try:
        os.stat("deploy/ready")
    except OSError:
        pass
    else:
        import machine

        from borne_node import switch

        switch.complete()
        machine.reset()  # what is loaded by now may be of the old firmware
    from borne_node import hardware

    board = hardware.Board()
    if board.host_is_waiting():
        from borne_node import rescue

        return rescue.end(board)
    from borne_node import app

    app.run(board)


def last_resort(reason):
    """What app.run never saw, such as a module that does not load: five minutes for a host, an hour of rest, again."""
    import time

    import machine

    print("borne: the firmware does not start: %s; Ctrl-C for the prompt" % reason)
    time.sleep(300)
    machine.deepsleep(3_600_000)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        last_resort(type(error).__name__)
