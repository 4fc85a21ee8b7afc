"""The sampler bit by bit; its exact distribution is proved in tests/host/test_privacy_noise.py."""

from support import raises

from borne_node.errors import StorageError
from borne_node.privacy.drbg import Hmac256Drbg
from borne_node.privacy.noise import Sampler

ONE = (1, 1)
GOLDEN_1 = [0, -3, -2, -2, 1, -1, 0, 0, 0, -3, -1, -1, 0, 1, -2, -1]
GOLDEN_2 = [-7, 0, -4, 2, -1, -1, 0, -8, 2, -1, -6, -1, 1, 3, 1, 1]


def test_below_takes_each_value_for_one_pattern_of_bits():
    for limit in (1, 2, 3, 5, 8, 240):
        count = 0
        while 1 << count < limit:
            count += 1
        drawn = []
        for pattern in range(1 << count):
            # The pattern first, then ones for ever: a rejected pattern is thrown away whole.
            bits = iter([pattern >> (count - 1 - i) & 1 for i in range(count)] + [0] * count)
            sampler = Sampler(None)
            sampler._bits = bits
            drawn.append(sampler.below(limit))
        assert drawn[:limit] == list(range(limit)) and not any(drawn[limit:])


def test_the_same_seed_draws_the_same_everywhere():
    sampler = Sampler(Hmac256Drbg(b"borne").generate)
    assert [sampler.laplace(1, ONE) for _ in range(16)] == GOLDEN_1
    sampler = Sampler(Hmac256Drbg(b"borne").generate)
    assert [sampler.laplace(2, ONE) for _ in range(16)] == GOLDEN_2


def test_noise_is_symmetric_and_as_wide_as_the_policy_says():
    core = Hmac256Drbg(b"seed")
    for sensitivity, epsilon, mean_size in ((1, ONE, 0.851), (2, ONE, 1.919), (1, (2, 1), 0.276)):
        sizes = total = 0
        for _ in range(40):
            sampler = Sampler(core.generate)
            for _ in range(50):
                noise = sampler.laplace(sensitivity, epsilon)
                sizes += abs(noise)
                total += noise
        # E|y| = 1 / sinh(epsilon / sensitivity); five standard errors of 2000 draws.
        width = 5 * (2 * (sensitivity * epsilon[1] / epsilon[0]) ** 2 / 2000) ** 0.5
        assert abs(sizes / 2000 - mean_size) < width and abs(total / 2000) < width


def test_a_generator_that_is_stuck_ends_the_draw():
    for stuck in (b"\x00", b"\xff"):
        sampler = Sampler(lambda size, stuck=stuck: stuck * size)
        with raises(StorageError):
            while True:
                sampler.laplace(1, ONE)


def test_a_generator_that_fails_says_so():
    def fail(size):
        raise StorageError("no seed")

    with raises(StorageError):
        Sampler(fail).laplace(1, ONE)
