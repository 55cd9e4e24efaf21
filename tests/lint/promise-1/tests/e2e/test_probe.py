"""A test, and one that is not."""


def test_that_is_there():
    assert True
