"""`python -m partlabel`: the command line."""

import sys

from partlabel.cli import main

if __name__ == "__main__":
    sys.exit(main())
