"""What the board starts: wait for a host where that makes sense, then wake once and sleep again."""

from borne_node import hardware


def main():
    board = hardware.Board()
    if board.host_is_waiting():
        return
    from borne_node import app

    app.run(board)


if __name__ == "__main__":
    main()
