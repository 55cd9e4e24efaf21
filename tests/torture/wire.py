"""A port that leads to another one, until it is cut: told so by the lines of standard input.

usage: wire.py PORT      prints its own port; obeys `cut` and `repair`, answering each with a line
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))
from cluster import Proxy  # noqa: E402


class Wire(Proxy):
    def carry(self, near):
        try:
            super().carry(near)
        except OSError:  # PostgreSQL does not listen
            near.close()


def main():
    wire = Wire(int(sys.argv[1]))
    print(wire.port, flush=True)
    for line in sys.stdin:
        {"cut": wire.cut, "repair": wire.repair}[line.strip()]()
        print(flush=True)


if __name__ == "__main__":
    main()
