"""Words that do not come back: the table `Phrases to avoid` of docs/glossary.md, in src, benchmarks, README and docs.

Checked are docstrings, comments and strings of the package and of benchmarks, and the pages outside code. Docstrings of
public functions begin with an imperative verb, which at least excludes question words.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
GLOSSARY = ROOT / "docs" / "glossary.md"
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PROGRAMS = sorted((ROOT / "benchmarks").glob("*.py"))
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(
        page for page in sorted((ROOT / "docs").rglob("*.md")) if page.name != "log.md"
    ),  # a record of the past
]
QUESTION = re.compile(r"(What|How|Where|Whether|Which|Who|Why|When)\b")


@cache
def phrases() -> dict[str, str]:
    """Read the phrases to avoid, with what to use instead."""
    section = GLOSSARY.read_text().partition("## Phrases to avoid")[2]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE)[1:]
    return {phrase.strip(): instead.strip() for words, instead in rows for phrase in words.split(",")}


@cache
def pattern() -> re.Pattern[str]:
    """Compile the phrases to avoid."""
    return re.compile(rf"\b({'|'.join(map(re.escape, phrases()))})\b")


def found(text: str, where: str) -> list[str]:
    """List the phrases to avoid in a text, one message each."""
    used = pattern().findall(" ".join(text.split()).lower())
    return [f"{where}: {phrase!r}; instead: {phrases()[phrase]}" for phrase in used]


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield docstrings, comments and strings of a module, with their lines."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def prose(page: str) -> Iterator[tuple[int, str]]:
    """Yield the paragraphs of a page, without code and quoted output, with their first lines."""
    plain = re.sub(r"^( *)```.*?^\1```$", lambda code: "\n" * code[0].count("\n"), page, flags=re.M | re.S)
    plain = re.sub(r"`[^`\n]+`", "", plain.partition("## Phrases to avoid")[0])
    line = 1
    for paragraph in re.split(r"\n\n", plain):
        yield line, paragraph
        line += paragraph.count("\n") + 2


def questions(source: str) -> list[str]:
    """List the public functions whose docstrings begin with a question word."""
    return [
        f"{node.name} (line {node.lineno})"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and not any("property" in ast.unparse(each) for each in node.decorator_list)
        and QUESTION.match(ast.get_docstring(node) or "")
    ]


def test_texts_of_the_package_and_of_benchmarks_use_none_of_the_phrases_to_avoid():
    wrong = [
        each
        for path in (*SOURCES, *PROGRAMS)
        for line, text in texts(path.read_text())
        for each in found(text, f"{path.relative_to(ROOT)}:{line}")
    ]
    assert not wrong, "\n".join(wrong)


def test_pages_use_none_of_the_phrases_to_avoid():
    wrong = [
        each
        for path in PAGES
        for line, text in prose(path.read_text())
        for each in found(text, f"{path.relative_to(ROOT)}:{line}")
    ]
    assert not wrong, "\n".join(wrong)


def test_docstrings_of_public_functions_begin_with_no_question_word():
    wrong = {str(path.relative_to(ROOT)): questions(path.read_text()) for path in SOURCES}
    assert not any(wrong.values()), {path: names for path, names in wrong.items() if names}


def test_a_phrase_is_found_in_docstring_comment_message_and_page():
    module = '"""What it comes to."""\n# a mend\nraise ValueError(f"{1} hangs\\n on it")\n'
    assert [bool(found(text, "here")) for _, text in texts(module)].count(True) == 3
    page = "Nobody said so.\n\n```\nanew\n```\n\nAnd `anew`.\n\nBegin anew.\n"
    assert [line for line, text in prose(page) if found(text, "here")] == [1, 9]
    assert found("Begin anew.", "a.py:3") == ["a.py:3: 'anew'; instead: again"]


def test_a_question_word_is_found():
    assert questions('def f():\n    """How many there are."""\n') == ["f (line 1)"]
    assert not questions('def f():\n    """Count them."""\ndef _g():\n    """How many."""\n')
