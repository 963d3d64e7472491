"""Part of `inspect`: describe the texts of a table."""

from typing import TYPE_CHECKING

from partlabel.cli.commands._saying import some_of

if TYPE_CHECKING:
    from partlabel.data.tables.label_table import LabelTable


def of_texts(table: "LabelTable") -> list[str]:
    """Describe how much text there is, its most frequent words, and the classes that it never mentions."""
    from partlabel.audit import text_statistics

    if table.texts is None:
        return []
    found = text_statistics.statistics_of_texts(table)
    lines = [
        f"texts: {found.photos:,} of {len(table):,} photos have text, {found.per_photo:.1f} each, of "
        f"{found.words:.1f} words on average",
        f"most frequent words: {', '.join(found.frequent)}",
    ]
    if found.unmentioned:
        lines.append(f"classes that no text mentions: {some_of(found.unmentioned)}")
    return [*lines, *_of_embedder(table), _of_value(table)]


def _of_value(table: "LabelTable") -> str:
    """Describe how well the texts alone rank the known labels."""
    import warnings

    from partlabel.audit import text_value
    from partlabel.data.text_features import text_features

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the language is described by `_of_embedder`
        features = text_features(table.texts or (), table.classes)
    return text_value.describe_text_value(text_value.text_value(table, features))


def _of_embedder(table: "LabelTable") -> list[str]:
    """Describe the embedder that `auto` chooses, and whether it covers the language of the texts."""
    from itertools import chain

    from partlabel.data import embedders
    from partlabel.data.text_features import language

    chosen, why = embedders.automatic()
    share = language.coverage(list(chain.from_iterable(table.texts or ())), chosen)
    doubt = language.warning(share, chosen)
    return [f"embedder of texts: {chosen.name} ({why}); {share:.0%} of the words are in its vocabulary"] + (
        [f"  {doubt}"] if doubt else []
    )
