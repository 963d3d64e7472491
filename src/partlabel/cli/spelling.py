"""How options are spelled: as they are typed, as jsonargparse takes them, and in its messages."""

import re

_PLAIN = (
    (r"<class '(?:\w+\.)*(\w+)'>", r"\1"),
    (r"(?:typing\.)?Literal\[([^]]*)\]", r"\1"),
    (r"Optional\[((?:[^][]|\[[^][]*\])*)\]", r"\1, null"),
    (r"Union\[([^][]*)\]", r"\1"),
    (r"(?:argument |Parser key \")(?:--)?([\w.]+)\"?:", r"--\1:"),
    (
        r":\s+Does not validate against any of the Union subtypes\s+Subtypes: \[(.*)\]\n[\s\S]*Given value: ",
        r": expected \1, got ",
    ),
    (", NoneType", ""),
    (r":\s+Expected an? (.*?)\. Got value: (.*)", r": expected \1, got \2"),
)


def canonical(word: str) -> tuple[str, str, str]:
    """Split `--image-size=3` into `--image_size`, `=`, `3`."""
    option, equals, value = word.partition("=")
    return "--" + option[2:].replace("-", "_"), equals, value


def shown_option(option: str) -> str:
    """Return an option as users type it: with hyphens, except for arguments of choices, which have Python's names."""
    if option.endswith(".name"):
        return option.removesuffix(".name")
    return option if "." in option or not option.startswith("--") else "--" + option[2:].replace("_", "-")


def in_plain_words(message: str) -> str:
    """Rewrite a message of the parser in plain words: `--epochs: expected int, got many`."""
    for pattern, plain in _PLAIN:
        message = re.sub(pattern, plain, message)
    return re.sub(r"(?<![\w-])--[\w.]+", lambda option: shown_option(option[0]), message)
