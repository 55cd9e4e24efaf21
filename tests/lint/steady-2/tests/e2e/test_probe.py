"""Is timed."""


def test_probe(alice):
    assert alice.list().elapsed.total_seconds() < 1
