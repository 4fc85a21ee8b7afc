"""Listen before talk, for the regions that ask for it."""


def clear(radio, clock, frequency, sf, bandwidth, limit, duration):
    """Whether the channel stays below `limit` dBm in every one of `duration` ms. Leaves the radio in standby."""
    radio.configure(frequency, sf, bandwidth)
    radio.start_receive(0)
    clock.sleep_ms(radio.START_MS)
    free = True
    for _ in range(duration + 1):
        clock.sleep_ms(1)
        free = free and radio.noise() < limit
    radio.standby()
    return free
