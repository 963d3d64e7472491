"""Forms of pages on which several labels are answered together."""

from collections.abc import Mapping

from fastapi import HTTPException
from pydantic import ValidationError

from partlabel.review.app import Answers, QuestionRequest
from partlabel.review.questions import Wish


def wish_of(answers: Answers, form: Mapping[str, str]) -> Wish:
    """Read the filter of questions from a form.

    Raises:
        HTTPException: It is not valid.
    """
    try:
        return answers.wish(QuestionRequest.model_validate(dict(form)))
    except ValidationError as error:
        raise HTTPException(422, "the form has no valid filter of questions") from error


def number(text: str) -> int:
    """Parse a number of a row or column; -1 if it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else -1
