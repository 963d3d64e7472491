"""Models of open_clip as trunks, on tiny random ones of each family; vectors of places against attention in a loop."""

import numpy as np
import pytest
import torch
from torch.nn.functional import linear

from partlabel import LabelTable, Tagger
from partlabel.deploy import graph_export
from partlabel.nn import backbone as backbones
from partlabel.nn import backbones as sources
from partlabel.nn.backbones import open_clip as source
from tiny_clip import DIM, VISION, open_clip, register, tiny


@pytest.fixture(scope="module")
def made():
    """A model of each family, and the trunk made of it."""
    models = {family: tiny(family) for family in VISION}
    return {
        family: (whole, source.trunk_of(whole, open_clip.SimpleTokenizer)) for family, whole in models.items()
    }


def photos(family):
    side = VISION[family]["image_size"]
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("family", VISION)
def test_the_first_token_is_the_vector_of_the_image_and_places_make_a_square(made, family):
    whole, trunk = made[family]
    images = photos(family)
    with torch.no_grad():
        tokens = trunk.model.forward_features(images)
        expected = whole.encode_image(images)
    assert tokens.shape[2] == trunk.width == DIM
    assert int((tokens.shape[1] - 1) ** 0.5) ** 2 == tokens.shape[1] - 1 > 1
    torch.testing.assert_close(tokens[:, 0], expected, rtol=1e-4, atol=1e-5)


def one_key(value, output, place, heads):
    """Attend to one place, head by head: its softmax is 1, whatever the query is."""
    of_heads = [torch.softmax(torch.zeros(1), 0) * part for part in value(place).chunk(heads)]
    return output(torch.cat(of_heads))


@torch.no_grad()
def loop_of_resnet(visual, images):
    pool, body = (
        visual.attnpool,
        torch.nn.Sequential(visual.layer1, visual.layer2, visual.layer3, visual.layer4),
    )
    return [
        [one_key(pool.v_proj, pool.c_proj, place, pool.num_heads) for place in photo.flatten(1).T]
        for photo in body(visual.stem(images))
    ]


@torch.no_grad()
def loop_of_vit(visual, images):
    *blocks, last = visual.transformer.resblocks
    tokens = torch.nn.Sequential(*blocks)(visual._embeds(images))
    width, attention = tokens.shape[2], last.attn

    def value(x):
        return linear(x, attention.in_proj_weight[2 * width :], attention.in_proj_bias[2 * width :])

    def vector(x):
        x = x + one_key(value, attention.out_proj, last.ln_1(x), attention.num_heads)
        return visual.ln_post(x + last.mlp(last.ln_2(x))) @ visual.proj

    return [[vector(place) for place in photo[1:]] for photo in tokens]


@torch.no_grad()
def loop_of_siglip(visual, images):
    pool = visual.trunk.attn_pool
    width = pool.kv.out_features // 2

    def value(x):
        return linear(x, pool.kv.weight[width:], pool.kv.bias[width:])

    def vector(x):
        x = one_key(value, pool.proj, x, pool.num_heads)
        return visual.head(visual.trunk.head_drop(visual.trunk.fc_norm(x + pool.mlp(pool.norm(x)))[None]))[0]

    tokens = visual.trunk.forward_features(images)[:, visual.trunk.num_prefix_tokens :]
    return [[vector(place) for place in photo] for photo in tokens]


@pytest.mark.parametrize(
    ("family", "loop"), [("ResNet", loop_of_resnet), ("ViT", loop_of_vit), ("SigLIP", loop_of_siglip)]
)
def test_the_vector_of_a_place_is_attention_to_that_place_alone(made, family, loop):
    whole, trunk = made[family]
    images = photos(family)
    with torch.no_grad():
        found = trunk.model.forward_features(images)[:, 1:]
    expected = torch.stack([torch.stack(list(photo)) for photo in loop(whole.visual, images)])
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def test_the_value_path_of_timm_is_its_last_block_on_every_place_alone(made):
    _, trunk = made["token of timm"]
    visual, images = trunk.model.visual, photos("token of timm")
    body, given = visual.trunk, []
    hook = body.blocks[-1].register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    with torch.no_grad():
        body.forward_features(images)
        hook.remove()
        places = given[0][:, 1:]
        alone = [[body.norm(body.blocks[-1](place[None, None])) for place in photo] for photo in places]
        expected = [[visual.head(body.forward_head(each))[0] for each in photo] for photo in alone]
        found = trunk.model.forward_features(images)[:, 1:]
    expected = torch.stack([torch.stack(photo) for photo in expected])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["MobileCLIP", "ViT, average"])
def test_of_an_average_the_mean_of_the_places_is_the_image(made, family):
    _, trunk = made[family]
    with torch.no_grad():
        tokens = trunk.model.forward_features(photos(family))
    if family == "MobileCLIP":  # the head is linear
        torch.testing.assert_close(tokens[:, 1:].mean(1), tokens[:, 0], rtol=1e-3, atol=1e-4)
    else:  # and here a norm lies between
        assert torch.cosine_similarity(tokens[:, 1:].mean(1), tokens[:, 0]).min() > 0.9


@pytest.mark.parametrize("family", VISION)
def test_gradients_reach_the_last_stage(made, family):
    _, trunk = made[family]
    trained = trunk.last_stage(trunk.model)
    parameters = dict(trunk.model.named_parameters())
    assert trained and trained < set(parameters)
    trunk.model.zero_grad()
    tokens = trunk.model.forward_features(photos(family))
    (tokens * torch.randn(tokens.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
    without = [name for name in trained if parameters[name].grad is None or not parameters[name].grad.any()]
    assert all("k_" in name or ".k" in name or "bias" in name or "query" in name for name in without), without
    trunk.model.zero_grad()


@pytest.mark.parametrize("family", VISION)
def test_the_text_half_is_that_of_the_model(made, family):
    whole, trunk = made[family]
    joint, sentences = trunk.joint(), ["a cat", "a dog on a sofa"] * 40
    with torch.no_grad():
        expected = whole.encode_text(open_clip.SimpleTokenizer()(sentences))
    torch.testing.assert_close(joint.encode(sentences), expected, rtol=1e-4, atol=1e-5)
    assert joint.scale == pytest.approx(float(whole.logit_scale.exp()))
    assert (joint.bias is None) == (family != "SigLIP")
    assert not any(name.startswith("visual") for name in joint.text_model.state_dict())


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """Tiny models that open_clip knows by name, and files of their weights."""
    return register(tmp_path_factory.mktemp("configs"))


def test_a_file_of_weights_fills_both_halves_and_another_is_refused(registered):
    trunk = sources.trunk("open_clip:tiny-vit", False, 32)
    sources.load_weights(trunk, registered / "tiny-vit.safetensors", "tiny-vit")
    whole, images = tiny("ViT"), photos("ViT")
    with torch.no_grad():
        torch.testing.assert_close(
            trunk.model.eval().forward_features(images)[:, 0], whole.encode_image(images)
        )
        expected = whole.encode_text(open_clip.SimpleTokenizer()(["a cat"]))
    torch.testing.assert_close(trunk.joint().encode(["a cat"]), expected)
    with pytest.raises(
        ValueError, match=r"tiny-resnet\.safetensors does not fit tiny-vit: .* are missing: .*visual"
    ):
        sources.load_weights(trunk, registered / "tiny-resnet.safetensors", "tiny-vit")


def test_positions_are_resized_to_another_image_size(registered):
    backbone = backbones.create(
        "open_clip:tiny-vit", trainable="none", image_size=48, weights=registered / "tiny-vit.safetensors"
    )
    assert backbone(torch.zeros(1, 3, 48, 48)).shape == (1, DIM, 6, 6)


def test_an_unknown_model_and_unknown_weights_are_refused_by_name(registered):
    with pytest.raises(ValueError, match=r"no model 'ViT-B-33'.*ViT-B-32"):
        sources.trunk("open_clip:ViT-B-33", False, 224)
    with pytest.raises(ValueError, match=r"no weights of its own of tiny-vit: .*--weights"):
        sources.trunk("open_clip:tiny-vit", "auto", 32)
    with pytest.raises(ValueError, match=r"no weights nonsense of ViT-B-32: it knows openai"):
        sources.trunk("open_clip:ViT-B-32:nonsense", True, 224)
    with pytest.raises(ValueError, match="no model 'hf-hub'"):
        sources.trunk("open_clip:hf-hub:owner/model", False, 224)


@pytest.mark.parametrize("name", ["tiny-vit", "tiny-resnet"])
def test_a_tagger_is_trained_cached_saved_and_exported(registered, name, collection, tmp_path):
    table = LabelTable.read(collection / "labels.csv", collection / "photos")
    size = {"tiny-vit": 32, "tiny-resnet": 96}[name]
    tagger = Tagger(
        table.classes,
        "bce",
        head="average",
        backbone=f"open_clip:{name}",
        weights=registered / f"{name}.safetensors",
        image_size=size,
    )
    tagger.fit(table, out=tmp_path / "a", epochs=1, weight_decay=0.02, accelerator="cpu")
    assert tagger.view[1].mean == pytest.approx(open_clip.OPENAI_DATASET_MEAN)
    scores = tagger.scores(table)
    np.testing.assert_allclose(scores, tagger.scores(table, cache="none"), atol=0.02, rtol=0.01)
    np.testing.assert_array_equal(
        Tagger.load(tmp_path / "a").scores(table, cache="none"), tagger.scores(table, cache="none")
    )
    assert tagger.model.backbone.channels == 2 * DIM
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    session = runtime.InferenceSession(graph_export.to_onnx(tagger, tmp_path / "model.onnx"))
    pixels = torch.rand(3, 3, size, size)  # the graph normalises them itself
    mean, std = (torch.tensor(each)[:, None, None] for each in tagger.view[1])
    with torch.no_grad():
        expected = tagger.model((pixels - mean) / std)
    found = session.run(["logits"], {"image": pixels.numpy()})[0]
    np.testing.assert_allclose(found, expected, atol=1e-3, rtol=1e-3)


def test_the_last_block_alone_is_trained_on_request(registered):
    backbone = backbones.create(
        "open_clip:tiny-vit", trainable="last", image_size=32, weights=registered / "tiny-vit.safetensors"
    )
    trained = {name for name, each in backbone.named_parameters() if each.requires_grad}
    assert trained and all(
        "resblocks.2." in name or "ln_post" in name or name.endswith("proj") for name in trained
    )
