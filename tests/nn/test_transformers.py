"""Models of Hugging Face as trunks, on tiny random ones; vectors of places against attention in a loop."""

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import linear, normalize

from partlabel import LabelTable, Tagger
from partlabel.nn import backbone as backbones
from partlabel.nn import backbones as sources
from partlabel.training.towers import loading

hugging = pytest.importorskip("transformers", reason="transformers is not installed: make test-clip")

DIM, SIDE = 16, 32
SIZES = {"hidden_size": DIM, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
IMAGES = SIZES | {"image_size": SIDE, "patch_size": 8}
TEXTS = SIZES | {
    "vocab_size": 12,
    "max_position_embeddings": 8,
    "eos_token_id": 1,
    "bos_token_id": 2,
    "pad_token_id": 0,
}
WORDS = ["[PAD]", "[EOS]", "[UNK]", "a", "photo", "of", "cat", "dog"]


def tokenizer():
    """Build a tokenizer of a few words."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    made = Tokenizer(WordLevel({word: at for at, word in enumerate(WORDS)}, "[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(single="$A [EOS]", special_tokens=[("[EOS]", 1)])
    return hugging.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", eos_token="[EOS]", unk_token="[UNK]"
    )


def models():
    """Build a tiny model of each kind."""
    clip = hugging.CLIPConfig(text_config=TEXTS, vision_config=IMAGES, projection_dim=12)
    siglip = hugging.SiglipConfig(text_config=TEXTS, vision_config=IMAGES)
    return {
        "clip": hugging.CLIPModel(clip),
        "siglip": hugging.SiglipModel(siglip),
        "dinov2": hugging.Dinov2Model(hugging.Dinov2Config(**IMAGES)),
        "dinov3": hugging.DINOv3ViTModel(hugging.DINOv3ViTConfig(**IMAGES, num_register_tokens=4)),
    }


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder of each model as its authors publish it: description, safetensors, preprocessing, tokenizer."""
    home, found = tmp_path_factory.mktemp("hub"), {}
    torch.manual_seed(0)
    for name, model in models().items():
        model.save_pretrained(home / name)
        (home / name / "preprocessor_config.json").write_text(
            '{"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]}'
        )
        if name in ("clip", "siglip"):
            tokenizer().save_pretrained(home / name)
        found[name] = home / name
    return found


def photos(side=SIDE):
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "width", "prefix"), [("clip", 12, 1), ("siglip", DIM, 1), ("dinov2", DIM, 1), ("dinov3", DIM, 5)]
)
def test_a_folder_makes_a_trunk_with_its_preprocessing(folders, name, width, prefix):
    trunk = sources.trunk(f"transformers:{folders[name]}", "auto", SIDE)
    assert (trunk.width, trunk.prefix_tokens) == (width, prefix)
    assert trunk.preprocessing.mean == (0.4, 0.5, 0.6) and trunk.preprocessing.std == (0.2, 0.3, 0.4)
    with torch.no_grad():
        tokens = trunk.model.forward_features(photos())
    assert tokens.shape == (2, prefix + 16, width)
    trained = trunk.last_stage(trunk.model)
    assert trained and trained < {each for each, _ in trunk.model.named_parameters()}
    assert (trunk.joint is None) == name.startswith("dino")
    wider = backbones.create(
        f"transformers:{folders[name]}", trainable="none", image_size=48, class_token=True
    )
    assert wider(photos(48)).shape == (2, 2 * width, 6, 6)


@torch.no_grad()
def test_the_first_token_is_the_vector_of_the_image(folders):
    for name in ("clip", "siglip"):
        trunk = sources.trunk(f"transformers:{folders[name]}", "auto", SIDE)
        whole = hugging.AutoModel.from_pretrained(folders[name]).eval()
        out = whole(pixel_values=photos(), input_ids=torch.tensor([[3, 4, 1]]))
        found = normalize(trunk.model.forward_features(photos())[:, 0], dim=1)
        torch.testing.assert_close(found, out.image_embeds, rtol=1e-4, atol=1e-5)


def one_key(value, output, place):
    """Attend to one place in two heads: its softmax is 1, whatever the query is."""
    return output(torch.cat([torch.softmax(torch.zeros(1), 0) * part for part in value(place).chunk(2)]))


@torch.no_grad()
def test_places_of_clip_are_the_value_path_of_the_last_block(folders):
    trunk = sources.trunk(f"transformers:{folders['clip']}", "auto", SIDE)
    body = trunk.model.visual
    tokens = body.encoder.layers[0](body.pre_layrnorm(body.embeddings(photos())), None)
    last = body.encoder.layers[1]

    def vector(x):
        x = x + one_key(last.self_attn.v_proj, last.self_attn.out_proj, last.layer_norm1(x))
        return trunk.model.projection(body.post_layernorm(x + last.mlp(last.layer_norm2(x))))

    expected = torch.stack([torch.stack([vector(place) for place in photo[1:]]) for photo in tokens])
    torch.testing.assert_close(trunk.model.forward_features(photos())[:, 1:], expected, rtol=1e-3, atol=1e-5)


@torch.no_grad()
def test_places_of_siglip_pass_through_the_pool_alone(folders):
    trunk = sources.trunk(f"transformers:{folders['siglip']}", "auto", SIDE)
    body, pool = trunk.model.visual, trunk.model.visual.head

    def value(x):
        return linear(x, pool.attention.in_proj_weight[2 * DIM :], pool.attention.in_proj_bias[2 * DIM :])

    def vector(x):
        x = one_key(value, pool.attention.out_proj, x)
        return x + pool.mlp(pool.layernorm(x))

    expected = torch.stack(
        [torch.stack([vector(place) for place in photo]) for photo in body(photos()).last_hidden_state]
    )
    torch.testing.assert_close(trunk.model.forward_features(photos())[:, 1:], expected, rtol=1e-3, atol=1e-5)


@torch.no_grad()
def test_an_image_text_model_is_a_tower_with_its_own_tokenizer(folders):
    for name in ("clip", "siglip"):
        tower = loading.load(f"transformers:{folders[name]}")
        whole = hugging.AutoModel.from_pretrained(folders[name]).eval()
        padded = torch.tensor([[3, 6, 1, 0, 0, 0, 0, 0]]) if name == "siglip" else torch.tensor([[3, 6, 1]])
        out = whole(pixel_values=photos(), input_ids=padded)
        means = tower.encoder()(photos()).mean((2, 3))
        cosine = tower.image(means) @ tower.text(["a cat"]).T
        torch.testing.assert_close(cosine, out.image_embeds @ out.text_embeds.T, rtol=1e-3, atol=1e-5)
        assert (tower.bias is None) == (name == "clip")
    with pytest.raises(ValueError, match=r"no text encoder and is no tower.*align --backbone"):
        _ = loading.load(f"transformers:{folders['dinov2']}").digest


def test_a_tagger_on_it_is_trained_saved_and_loaded_on_trust(folders, collection, tmp_path):
    table = LabelTable.read(collection / "labels.csv", collection / "photos")
    tagger = Tagger(
        table.classes, "bce", head="average", backbone=f"transformers:{folders['dinov3']}", image_size=SIDE
    )
    tagger.fit(table, out=tmp_path / "a", epochs=1, weight_decay=0.02, accelerator="cpu")
    with pytest.raises(ValueError, match="no plain name of a model"):
        Tagger.load(tmp_path / "a")
    again = Tagger.load(tmp_path / "a", trust=True)
    assert (again.scores(table, cache="none") == tagger.scores(table, cache="none")).all()


def test_local_weights_and_what_is_missing(folders, tmp_path):
    save_file(hugging.Dinov2Model(hugging.Dinov2Config(**IMAGES)).state_dict(), tmp_path / "w.safetensors")
    named = f"transformers:{folders['dinov2']}"
    backbones.create(named, trainable="none", image_size=SIDE, weights=tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"w\.safetensors does not fit"):
        backbones.create(
            f"transformers:{folders['clip']}", image_size=SIDE, weights=tmp_path / "w.safetensors"
        )
    with pytest.raises(OSError, match=r"cannot read the description of the model .*config\.json"):
        sources.trunk(f"transformers:{tmp_path}", "auto", SIDE)
