"""Interpreters of other programs, each in an environment of its own that `make test-integrations` installs."""

import os
import shutil

import pytest


def interpreter(variable, name):
    """Return the path of the interpreter that a variable names; without one, skip the module.

    Args:
        variable: Environment variable.
        name: Name of the program, for the message.
    """
    found = shutil.which(os.environ.get(variable, "no interpreter"))
    if found is None:
        pytest.skip(f"{name} is not installed: make test-integrations", allow_module_level=True)
    return os.path.abspath(found)  # the programs run in other folders
