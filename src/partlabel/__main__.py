"""`python -m partlabel`: the command line."""

import os
import sys

if not sys.flags.safe_path and sys.path[:1] in ([""], [os.getcwd()]):
    del sys.path[0]  # `python -m` looks for all modules in the working directory first, which is not trusted

from partlabel.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
