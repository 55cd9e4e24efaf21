"""Sleeps."""

import time


def test_probe():
    time.sleep(1)
