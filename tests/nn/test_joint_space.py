"""The space of a tower: prompts against a loop that puts the vectors of tokens one after the other."""

import pytest
import torch
from torch.nn.functional import normalize

from partlabel.nn.joint_space import PLACEHOLDER
from partlabel.nn.prompts import Prompts
from partlabel.testing.tower import tiny_space, tokens_of

NAMES = ("cat", "x ray", "dog on a sofa")


@pytest.fixture
def space():
    return tiny_space(NAMES, 6)


def vector_of(encoder, tokens):
    """Encode token vectors, not numbers."""
    summed = sum(
        torch.tanh(token + position) for token, position in zip(tokens, encoder.positions, strict=False)
    )
    return normalize(encoder.map(summed), dim=0)


def test_prompts_are_learned_vectors_before_the_words_of_the_name(space):
    """Also for a name that begins with the placeholder, which stays a word."""
    context, encoder = torch.randn(len(NAMES), 2, 5, 3), space.text.module
    found = space.encode(context)
    for c, name in enumerate(NAMES):
        words = [encoder.embedding(number) for number in tokens_of([f"{name}."])[0] if number]
        for kind in range(2):
            expected = vector_of(encoder, [*context[c, kind], *words])
            torch.testing.assert_close(found[c, kind], expected, rtol=1e-4, atol=1e-5)


def test_with_the_vectors_of_words_a_prompt_is_a_sentence(space):
    before = "a photo of a"
    numbers = tokens_of([before])[0, :4]
    context = space.text.embedding(numbers).expand(len(NAMES), 1, -1, -1)
    expected = normalize(space.text.vectors(tokens_of([f"{before} {name}." for name in NAMES])), dim=1)
    torch.testing.assert_close(space.encode(context)[:, 0], expected, rtol=1e-4, atol=1e-5)


def test_prompts_may_start_as_words(space):
    found = Prompts(space, 2, 16, True, "a photo of a")()
    expected = normalize(space.text.vectors(tokens_of([f"a photo of a {name}." for name in NAMES])), dim=1)
    torch.testing.assert_close(found, expected[:, None].expand(-1, 2, -1), rtol=1e-4, atol=1e-5)


def test_gradients_reach_the_learned_tokens_alone(space):
    prompts = Prompts(space, kinds=2, tokens=4, shared=True)
    prompts().sum().backward()
    assert prompts.context.grad.shape == (1, 2, 4, 3) and (prompts.context.grad != 0).all()
    assert not any(each.requires_grad for each in space.text.module.parameters())
    assert not space.text.embedding._forward_hooks, "outside of a prompt the placeholder is a word"
    assert PLACEHOLDER in NAMES[1]


def test_prompts_that_do_not_fit_are_refused(space):
    with pytest.raises(ValueError, match=r"prompts of 40 tokens are too long .*--method\.tokens 16"):
        Prompts(space, 2, 40, True)()
    with pytest.raises(ValueError, match="tokens is 0"):
        Prompts(space, 2, 0, True)
    with pytest.raises(ValueError, match="text encoder of a tower, and there is none: give --tower FOLDER"):
        Prompts(None, 2, 4, True)()
