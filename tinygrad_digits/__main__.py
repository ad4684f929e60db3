"""``python -m tinygrad_digits`` is the command line of the digits wing."""

import sys

from .digits.cli import main

if __name__ == "__main__":
    sys.exit(main())
