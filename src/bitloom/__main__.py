"""``python -m bitloom``: the same as the ``bitloom`` program."""

import sys

from bitloom.cli import main

if __name__ == "__main__":
    sys.exit(main())
