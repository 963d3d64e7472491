"""Mutated files, the same ones for a seed: bytes flipped, cut, repeated and moved, and what breaks readers put in."""

import random

ODD = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\x80", b"\xed\xa0\x80", b"\r", b"\n\n", b'"', b",", b";", b"\t", b"{",
    b"[", b"}", b"]", b"null", b"NaN", b"-1", b"1e999", b"1" * 40, b"true", b"\\ud800", b"../",
    b"/etc/passwd", b"C:\\x",
    "\N{PILE OF POO}".encode(), "e\u0301".encode(), b"<!DOCTYPE x>", b"&a;", b"=1+1", b"\xc2\xa0", b" ", b"0.5", b"''",
    b"[" * 3000, b'{"a":' * 3000, b"a" * 5000, b"\xff\xd8\xff\xda", b"\x01\x00\x00\x00\xff\xff\xff\xff",
)  # fmt: skip


def mutated(content: bytes, chance: random.Random) -> bytes:
    """A file with one to four changes."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        content = chance.choice(CHANGES)(content, chance)
    return content


def _flip(content: bytes, chance: random.Random) -> bytes:
    if not content:
        return content
    at = chance.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]


def _cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _drop(content: bytes, chance: random.Random) -> bytes:
    at, end = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    return content[:at] + content[min(end, at + 30) :]


def _repeat(content: bytes, chance: random.Random) -> bytes:
    at, end = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    return content[:end] + content[at:]


def _put(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) + 1)
    return content[:at] + chance.choice(ODD) + content[at:]


def _swap_lines(content: bytes, chance: random.Random) -> bytes:
    lines = content.split(b"\n")
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def _recode(content: bytes, chance: random.Random) -> bytes:
    return content.decode("utf-8", "replace").encode(
        chance.choice(("utf-16", "latin-1", "utf-8-sig")), "replace"
    )


CHANGES = (_flip, _flip, _cut, _drop, _repeat, _put, _put, _put, _swap_lines, _recode)
