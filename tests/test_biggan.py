"""BigGAN: the published weights give the published pictures, and every space can be steered."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import steer
from steer.backend import Stage
from steer.errors import BadInput, BrokenFile, UnknownName
from steer.generator import Generator
from steer.generators.biggan import BigGAN, load, write_model
from steer.generators.gan.network import (
    BigGANConfig,
    BigGANNetwork,
    BlockShape,
    DoublingConvolution,
    NormaliseModulate,
)
from steer.knob import LinearKnob, Window
from steer.steering import Steering, Turn
from steer.testing import check_generator

TINY_PUBLISHED = {
    "output_dim": 32,
    "z_dim": 12,
    "class_embed_dim": 12,
    "channel_width": 8,
    "num_classes": 5,
    "layers": [(False, 8, 8), (True, 8, 4), (False, 4, 4), (True, 4, 2), (True, 2, 1)],
    "attention_layer_position": 3,
    "eps": 1e-4,
    "n_stats": 51,
}


def published_weights(config: dict[str, Any], seed: int = 0) -> dict[str, Tensor]:
    """Return random weights under the published names, with vectors one power step from random."""
    rng = torch.Generator().manual_seed(seed)
    weights: dict[str, Tensor] = {}

    def spectral(name: str, *shape: int) -> None:
        weight = torch.randn(shape, generator=rng) / math.sqrt(shape[1])
        matrix = weight.flatten(1)
        u = F.normalize(matrix @ torch.randn(matrix.shape[1], generator=rng), dim=0)
        weights[f"{name}.weight_orig"], weights[f"{name}.weight_u"] = weight, u
        weights[f"{name}.weight_v"] = F.normalize(matrix.T @ u, dim=0)

    def tables(name: str, channels: int) -> None:
        weights[f"{name}.running_means"] = torch.randn((config["n_stats"], channels), generator=rng) / 5
        weights[f"{name}.running_vars"] = torch.rand((config["n_stats"], channels), generator=rng) + 0.5

    width, given = config["channel_width"], 2 * config["z_dim"]
    weights["embeddings.weight"] = torch.randn((config["z_dim"], config["num_classes"]), generator=rng)
    spectral("generator.gen_z", 16 * width * config["layers"][0][1], given)
    weights["generator.gen_z.bias"] = torch.randn(16 * width * config["layers"][0][1], generator=rng)
    layer = 0
    for index, (_, inputs, outputs) in enumerate(config["layers"]):
        inputs, outputs = inputs * width, outputs * width
        if index == config["attention_layer_position"]:
            name = f"generator.layers.{layer}"
            weights[f"{name}.gamma"] = torch.tensor([0.7])
            for part, shape in (
                ("theta", (inputs // 8, inputs)),
                ("phi", (inputs // 8, inputs)),
                ("g", (inputs // 2, inputs)),
                ("o_conv", (inputs, inputs // 2)),
            ):
                spectral(f"{name}.snconv1x1_{part}", *shape, 1, 1)
            layer += 1
        name, middle = f"generator.layers.{layer}", inputs // 4
        for number, channels in enumerate((inputs, middle, middle, middle)):
            spectral(f"{name}.bn_{number}.scale", channels, given)
            spectral(f"{name}.bn_{number}.offset", channels, given)
            tables(f"{name}.bn_{number}", channels)
        for number, (a, b, size) in enumerate(
            ((inputs, middle, 1), (middle, middle, 3), (middle, middle, 3), (middle, outputs, 1))
        ):
            spectral(f"{name}.conv_{number}", b, a, size, size)
            weights[f"{name}.conv_{number}.bias"] = torch.randn(b, generator=rng) / 5
        layer += 1
    last = width * config["layers"][-1][2]
    weights["generator.bn.weight"] = torch.rand(last, generator=rng) + 0.5
    weights["generator.bn.bias"] = torch.randn(last, generator=rng)
    tables("generator.bn", last)
    spectral("generator.conv_to_rgb", last, last, 3, 3)
    weights["generator.conv_to_rgb.bias"] = torch.randn(last, generator=rng) / 5
    return weights


def published_picture(
    weights: dict[str, Tensor], config: dict[str, Any], z: Tensor, label: int, truncation: float
) -> Tensor:
    """Return the picture in [-1, 1], step by step as the published network is described, in float64."""
    w = {name: tensor.double() for name, tensor in weights.items()}

    def normal(name: str) -> Tensor:
        weight, u, v = (w[f"{name}.weight_{part}"] for part in ("orig", "u", "v"))
        return weight / (u @ (weight.reshape(len(weight), -1) @ v))

    def table(name: str) -> Tensor:
        position = truncation * (config["n_stats"] - 1)
        low = round(math.floor(position))
        rows = w[name]
        return rows[low] * (1 - (position - low)) + rows[min(low + 1, len(rows) - 1)] * (position - low)

    def norm(h: Tensor, name: str, scale: Tensor, offset: Tensor) -> Tensor:
        mean, variance = table(f"{name}.running_means"), table(f"{name}.running_vars")
        h = (h - mean[:, None, None]) / torch.sqrt(variance + config["eps"])[:, None, None]
        return F.relu(h * scale[..., None, None] + offset[..., None, None])

    def conv(h: Tensor, name: str) -> Tensor:
        weight = normal(name)
        return F.conv2d(h, weight, w[f"{name}.bias"], padding=weight.shape[-1] // 2)

    one_hot = F.one_hot(torch.tensor([label]), config["num_classes"]).double()
    given = torch.cat([z.double(), one_hot @ w["embeddings.weight"].T], 1)
    h = given @ normal("generator.gen_z").T + w["generator.gen_z.bias"]
    h = h.view(1, 4, 4, -1).permute(0, 3, 1, 2)
    layer = 0
    for index, (up, inputs, outputs) in enumerate(config["layers"]):
        if index == config["attention_layer_position"]:
            name = f"generator.layers.{layer}"
            theta, phi, g = (F.conv2d(h, normal(f"{name}.snconv1x1_{part}")) for part in ("theta", "phi", "g"))
            phi, g = F.max_pool2d(phi, 2).flatten(2), F.max_pool2d(g, 2).flatten(2)
            attention = torch.softmax(theta.flatten(2).transpose(1, 2) @ phi, -1)
            mixed = (g @ attention.transpose(1, 2)).view(1, -1, *h.shape[2:])
            h = h + w[f"{name}.gamma"] * F.conv2d(mixed, normal(f"{name}.snconv1x1_o_conv"))
            layer += 1
        name, skip = f"generator.layers.{layer}", h
        for number in range(4):
            scale = 1 + given @ normal(f"{name}.bn_{number}.scale").T
            offset = given @ normal(f"{name}.bn_{number}.offset").T
            h = norm(h, f"{name}.bn_{number}", scale, offset)
            if number == 1 and up:
                h = F.interpolate(h, scale_factor=2, mode="nearest")
            h = conv(h, f"{name}.conv_{number}")
        if inputs != outputs:
            skip = skip[:, : skip.shape[1] // 2]
        h = h + (F.interpolate(skip, scale_factor=2, mode="nearest") if up else skip)
        layer += 1
    h = norm(h, "generator.bn", w["generator.bn.weight"], w["generator.bn.bias"])
    return torch.tanh(conv(h, "generator.conv_to_rgb")[:, :3])


def write_published(folder: Path, weights: dict[str, Tensor], config: dict[str, Any] = TINY_PUBLISHED) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    torch.save(weights, folder / "pytorch_model.bin")
    return folder


def network(kind: str = "plain", attention: bool = False) -> BigGANNetwork:
    torch.manual_seed(0)
    blocks = (BlockShape(16, 16), BlockShape(16, 8, False, attention), BlockShape(8, 8))
    config = BigGANConfig(blocks, ("robin", "owl", "wren"), z_dim=6, class_dim=4, kind=kind, statistics=11)  # type: ignore[arg-type]
    net = BigGANNetwork(config)
    net.initialise()
    net.means.normal_(0, 0.3)
    net.variances.uniform_(0.5, 1.5)
    return net


@pytest.mark.parametrize("truncation", [0.4, 0.405, 1.0])
def test_published_weights_give_the_pictures_of_an_independent_implementation(
    tmp_path: Path, truncation: float
) -> None:
    weights = published_weights(TINY_PUBLISHED)
    backend = load(write_published(tmp_path / "published", weights))
    generator = Generator(backend, name="tiny")
    latent = generator.sample([7], condition={"label": "class 3"}, truncation=truncation)
    expected = published_picture(weights, TINY_PUBLISHED, latent["z"], 3, truncation)
    assert float((2 * generator.decode(latent) - 1 - expected).abs().max()) < 1e-5


def test_both_ways_of_storing_spectral_norm_are_read(tmp_path: Path) -> None:
    weights = published_weights(TINY_PUBLISHED)
    renamed = {
        name.replace("weight_orig", "parametrizations.weight.original")
        .replace("weight_u", "parametrizations.weight.0._u")
        .replace("weight_v", "parametrizations.weight.0._v"): tensor
        for name, tensor in weights.items()
    }
    old = load(write_published(tmp_path / "old", weights))
    new = load(write_published(tmp_path / "new", renamed))
    assert old.fingerprint == new.fingerprint


def test_the_names_of_the_classes_stand_in_a_file_beside_the_weights(tmp_path: Path) -> None:
    folder = write_published(tmp_path, published_weights(TINY_PUBLISHED))
    names = [f"bird {number}" for number in range(TINY_PUBLISHED["num_classes"])]
    (folder / "labels.json").write_text(json.dumps(names))
    assert load(folder).config.labels == tuple(names)
    (folder / "labels.json").write_text(json.dumps(names[1:]))
    with pytest.raises(BrokenFile, match="labels"):
        load(folder)


@pytest.mark.parametrize(
    ("size", "layers", "parameters"),
    [
        (128, "F16,16 T16,16 F16,16 T16,8 F8,8 T8,4 F4,4 T4,2 F2,2 T2,1", 50.39),
        (256, "F16,16 T16,16 F16,16 T16,8 F8,8 T8,8 F8,8 T8,4 F4,4 T4,2 F2,2 T2,1", 55.88),
        (512, "F16,16 T16,16 F16,16 T16,8 F8,8 T8,8 F8,8 T8,4 F4,4 T4,2 F2,2 T2,1 F1,1 T1,1", 56.16),
    ],
)
def test_the_published_shapes_have_the_published_number_of_parameters(
    size: int, layers: str, parameters: float
) -> None:
    blocks = []
    for index, text in enumerate(layers.split()):
        inputs, outputs = (128 * int(number) for number in text[1:].split(","))
        blocks.append(BlockShape(inputs, outputs, text[0] == "T", index == 8))
    config = BigGANConfig(tuple(blocks), tuple(map(str, range(1000))))
    with torch.device("meta"):
        net = BigGANNetwork(config)
    kept = sum(each.numel() for each in net.parameters())
    dropped = 125 * (128 * 9 + 1)  # the output channels that never reach the picture
    assert config.resolution == size
    assert (kept + dropped) / 1e6 == pytest.approx(parameters, abs=0.005)


@pytest.mark.parametrize("broken", ["missing", "unknown", "code", "torn", "vectors"])
def test_weights_that_are_not_the_published_ones_are_refused(tmp_path: Path, broken: str) -> None:
    weights: dict[str, Any] = published_weights(TINY_PUBLISHED)
    if broken == "missing":
        del weights["generator.bn.weight"]
    if broken == "unknown":
        weights["generator.layers.9.conv_0.bias"] = torch.zeros(3)
    if broken == "code":
        weights["generator.bn.weight"] = nn.Linear(2, 2)
    if broken == "vectors":
        weights["generator.gen_z.weight_u"] = torch.ones(3)
    folder = write_published(tmp_path / "published", weights)
    if broken == "torn":
        (folder / "pytorch_model.bin").write_bytes(b"not a file of weights")
    with pytest.raises(BrokenFile):
        load(folder)


def test_statistics_are_read_between_rows_with_the_right_weights_or_as_the_published_package_does() -> None:
    for interpolation, at in (
        ("linear", {0.405: 20.25, 0.14: 7, 0.28: 14, 0.56: 28, 0.58: 29, 0.94: 47, 1.0: 50, 0.01: 0.5}),
        ("hf", {0.405: 20.75, 0.14: 8, 0.28: 15, 0.56: 29, 0.58: 28, 0.94: 46, 1.0: 50, 0.01: 0.5}),
    ):
        config = BigGANConfig((BlockShape(8, 8),), ("a",), 4, 4, interpolation=interpolation)  # type: ignore[arg-type]
        net = BigGANNetwork(config)
        net.means[:] = torch.arange(51.0)[:, None]
        for truncation, row in at.items():
            assert float(net.statistics(truncation)[0][0]) == pytest.approx(row, abs=1e-4)


@pytest.mark.parametrize("truncation", [0.0, -1.0, 1.5, math.nan])
def test_a_truncation_that_has_no_statistics_is_refused(truncation: float) -> None:
    with pytest.raises(BadInput, match="truncation"):
        network().statistics(truncation)


@pytest.mark.parametrize(("kind", "attention"), [("plain", False), ("deep", False), ("deep", True)])
def test_every_kind_keeps_the_promises_of_a_generator(kind: str, attention: bool) -> None:
    check_generator(Generator(BigGAN(network(kind, attention)), name="tiny"))


def test_the_first_layer_is_exactly_the_matrix_it_is_said_to_be() -> None:
    generator = Generator(BigGAN(network()), name="tiny")
    latent = generator.sample([1, 2])
    for space in ("z", "class"):
        matrix = generator.backend.linear_map("layer:0", space)
        assert matrix is not None
        step = torch.randn(latent[space].shape)
        before = generator.observe(latent, "layer:0").flatten(1)
        after = generator.observe(latent.with_values(space, latent[space] + step), "layer:0").flatten(1)
        assert torch.allclose(after - before, step @ matrix.T, atol=1e-5)
    assert generator.backend.linear_map("layer:1", "z") is None


def test_a_window_restricts_a_turn_to_its_blocks() -> None:
    generator = Generator(BigGAN(network()), name="tiny")
    latent = generator.sample([5])
    knob = LinearKnob("late", "z", torch.ones(6))
    last = Steering([Turn(knob, 1.0, Window(0.75, 1.0))])
    assert torch.equal(generator.observe(latent, "layer:2", last), generator.observe(latent, "layer:2"))
    assert not torch.equal(generator.decode(latent, last), generator.decode(latent))


def test_turning_z_in_every_block_is_the_same_as_other_dice() -> None:
    generator = Generator(BigGAN(network("deep", True)), name="tiny")
    latent = generator.sample([5, 6])
    direction = torch.linspace(-1, 1, 6)
    turned = generator.decode(latent, Steering([(LinearKnob("all", "z", direction), 0.5)]))
    moved = latent.with_values("z", latent["z"] + 0.5 * direction)
    assert float((turned - generator.decode(moved)).abs().max()) < 1e-5


def test_classes_can_be_mixed_and_unknown_ones_are_named() -> None:
    backend = BigGAN(network())
    half = backend.mix({"robin": 0.5, "owl": 0.5})
    rows = backend.network.embedding
    assert torch.allclose(half, (rows[0] + rows[1]) / 2)
    with pytest.raises(UnknownName, match="robin, owl, wren"):
        backend.mix({"dodo": 1.0})


def test_a_class_that_is_not_asked_for_comes_from_the_seed() -> None:
    generator = Generator(BigGAN(network()), name="tiny")
    names = generator.sample(list(range(60))).condition["label"]
    assert names == generator.sample(list(range(60))).condition["label"]
    assert set(names) == {"robin", "owl", "wren"}


def test_dice_of_published_models_are_truncated_and_scaled_by_the_truncation(tmp_path: Path) -> None:
    folder = write_published(tmp_path / "published", published_weights(TINY_PUBLISHED))
    generator = Generator(load(folder), name="tiny")
    whole, half = generator.sample(list(range(200))), generator.sample(list(range(200)), truncation=0.5)
    assert float(whole["z"].abs().max()) <= 2
    assert torch.equal(half["z"], 0.5 * whole["z"])


def test_steered_statistics_give_the_pictures_of_training() -> None:
    net = network()
    seen: list[tuple[Tensor, Tensor]] = []
    rows = torch.arange(8) % 3
    z = torch.randn(8, 6)
    with torch.no_grad():
        expected = (net(z, net.embedding[rows], seen) + 1) / 2
        net.means[-1] = torch.cat([mean for mean, _ in seen])
        net.variances[-1] = torch.cat([inverse.pow(-2) for _, inverse in seen]) - net.config.eps
    generator = Generator(BigGAN(net), name="tiny")
    labels = [net.config.labels[row] for row in rows]
    latent = generator.sample(list(range(8)), condition={"label": labels}).with_values("z", z)
    assert torch.allclose(generator.decode(latent), expected, atol=1e-5)


def test_the_fused_normalisation_has_the_gradients_of_its_parts() -> None:
    torch.manual_seed(0)
    h = torch.randn(3, 4, 5, 5, dtype=torch.float64, requires_grad=True)
    gain, shift = (torch.randn(3, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda *each: NormaliseModulate.apply(*each, 1e-4)[0], (h, gain, shift))


def test_the_doubling_convolution_is_a_convolution_of_the_doubled_map() -> None:
    torch.manual_seed(0)
    layer, h = DoublingConvolution(3, 5), torch.randn(2, 3, 6, 6)
    expected = F.conv2d(F.interpolate(h, scale_factor=2, mode="nearest"), layer.weight, layer.bias, padding=1)
    assert torch.allclose(layer(h), expected, atol=1e-6)


def test_a_model_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    net = network("deep", True).half().float()
    write_model(tmp_path, net, measurer="picture")
    backend = load(tmp_path)
    assert backend.fingerprint == BigGAN(net).fingerprint
    assert backend.home == tmp_path


def test_broken_model_folders_are_refused_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="without weights"):
        steer.load_generator("biggan")
    with pytest.raises(BadInput, match=r"config\.json"):
        load(tmp_path)
    write_model(tmp_path, network(), measurer="picture")
    whole = (tmp_path / "weights.safetensors").read_bytes()
    (tmp_path / "weights.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BrokenFile, match="fetch"):
        load(tmp_path)
    write_model(tmp_path, network("deep"), measurer="picture")
    deep = (tmp_path / "config.json").read_text()
    write_model(tmp_path, network("plain"), measurer="picture")
    (tmp_path / "config.json").write_text(deep)
    with pytest.raises(BrokenFile, match="does not fit"):
        load(tmp_path)
    (tmp_path / "config.json").write_text(deep.replace('"schema": 1', '"schema": 99'))
    with pytest.raises(BrokenFile, match="schema 99"):
        load(tmp_path)


def test_before_its_blocks_a_film_shows_what_dice_of_zero_would_give_them() -> None:
    generator = Generator(BigGAN(network()), name="tiny")
    latent = generator.sample([1, 2], condition={"label": "owl"})
    started = next(generator.film(latent)).picture
    knob = LinearKnob("away", "z", latent["z"][0], window=Window(0.25, 1.0))
    without = generator.decode(latent.rows([0]), Steering([(knob, -1.0)]))
    assert torch.allclose(started[:1], without, atol=1e-5)
    assert not torch.allclose(started[0], started[1], atol=1e-3)


def test_stages_name_the_blocks() -> None:
    generator = Generator(BigGAN(network()), name="tiny")
    stages = generator.backend.stages(generator.sample([1]), None)
    assert [stage.name for stage in stages] == ["first layer", "block 1", "block 2", "block 3"]
    assert all(isinstance(stage, Stage) and {"z", "class"} <= stage.spaces for stage in stages)
