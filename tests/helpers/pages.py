"""Code blocks of Markdown pages: found, and run as somebody who reads the page would run them."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from partlabel.cli.main import main

ROOT = Path(__file__).parents[2]
NOT_RUN = "# Not run by the tests: "
"""A comment in a block, for the reader to see as well: what it needs that is not everywhere."""

_FENCE = re.compile(r"^```(?P<language>[\w{}-]*)[^\n]*\n(?P<text>.*?)^```$", re.M | re.S)
_COMMANDS = ("partlabel", "python", "make", "torchrun", "pip", "cd", "ray")
_STAYS = ("serve", "review")  # verbs that answer until they are stopped
_SHELL = set("|<>&;$`*\n")  # what only a shell understands


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: Its path in the repository.
        line: Of the page, where its text begins.
        language: `bash`, `python`, or another that is not run.
        text: What is in it.
    """

    page: str
    line: int
    language: str
    text: str

    @property
    def first(self) -> str:
        """Its first line."""
        return self.text.partition("\n")[0]

    @property
    def needs(self) -> str | None:
        """What it needs that is not everywhere, if it says so."""
        found = re.search(f"^{re.escape(NOT_RUN)}(.+)$", self.text, re.M)
        return found[1] if found else None


def blocks(page: str) -> list[Block]:
    """List the blocks of a page, in order; one without a language that begins with a command is `bash`."""
    content = (ROOT / page).read_text(encoding="utf-8")
    found = []
    for fence in _FENCE.finditer(content):
        text, language = fence["text"], fence["language"]
        if not language and text.split(maxsplit=1)[0] in _COMMANDS:
            language = "bash"
        line = content.count("\n", 0, fence.start("text")) + 1
        found.append(Block(page, line, {"console": "bash", "sh": "bash"}.get(language, language), text))
    return found


@dataclass
class Session:
    """Somebody at work: where they stand, and what their Python knows.

    Attributes:
        names: What Python knows; grows.
        smaller: Text of commands that is replaced, so that tests take seconds.
        said: Gives what was printed since it was last asked.
    """

    said: Callable[[], str]
    names: dict[str, Any] = field(default_factory=dict)
    smaller: dict[str, str] = field(default_factory=dict)

    def run(self, block: Block) -> None:
        """Run a block; what goes wrong names the page and the line."""
        text = block.text
        for long, short in self.smaller.items():
            text = text.replace(long, short)
        if block.language == "python":
            place = "\n" * (block.line - 1)  # so that tracebacks name the line of the page
            exec(compile(place + text, ROOT / block.page, "exec"), self.names)
        elif block.language == "bash":
            for command in _commands(text):
                problem = self._command(command)
                assert problem is None, f"{block.page}, block at line {block.line}: {command}\n{problem}"

    def _command(self, command: str) -> str | None:
        """Run a command; return its message if it fails. Those of partlabel run in this process, for speed."""
        words = [] if _SHELL & set(command.partition(" #")[0]) else shlex.split(command, comments=True)
        if words[:1] == ["cd"]:
            os.chdir(words[1])
            return None
        if words[:1] == ["partlabel"]:
            if words[1:2] and words[1] in _STAYS and not {"--help", "--export"} & {*words}:
                return f"it does not end by itself; say so in the block: {NOT_RUN}it does not end by itself"
            try:
                code = main(words[1:])
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else 1
            said = self.said()
            return said if code else None
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-e", "-c", command],
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=600,
        )
        return done.stdout + done.stderr if done.returncode else None


def _commands(text: str) -> Iterator[str]:
    """List the commands of a block: one per line, unless it ends in a backslash."""
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if line.strip() and not line.startswith("#"):
            yield line
