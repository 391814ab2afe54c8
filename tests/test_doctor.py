"""The doctor finds each thing that breaks sampling or inversion, and nothing in a sound configuration."""

import json

import pytest
import torch
from mixture import diffuser
from safetensors.torch import save_file

from steer.errors import BadInput, BrokenFile
from steer.generators.diffusion.doctor import Chart, Charted, as_records, examine, read_chart, round_trip

SOUND = {
    "num_train_timesteps": 1000,
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "clip_sample": False,
}


def found(scheduler, steps=50, **rest):
    """Return the names of what is found, changed from what is sound."""
    findings = examine(Chart({**SOUND, **scheduler}, **{"clean": 1 - 1e-6, "low_levels": 2, **rest}), steps)
    assert all(finding.problem and finding.cure for finding in findings)
    assert all(record.keys() == {"name", "matters", "problem", "cure"} for record in as_records(findings))
    return [finding.name for finding in findings]


def test_nothing_is_found_where_all_is_well():
    assert found({}) == []


@pytest.mark.parametrize(
    ("name", "scheduler", "rest"),
    [
        ("clip_sample", {"clip_sample": True}, {}),
        ("thresholding", {"thresholding": True}, {}),
        ("linspace stride", {"timestep_spacing": "linspace"}, {}),
        ("trailing stride", {}, {"steps": 30}),
        ("uncovered top level", {"timestep_spacing": "leading"}, {}),
        ("signal in the noise", {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}, {}),
        ("alpha_to_one", {"set_alpha_to_one": False, "timestep_spacing": "leading"}, {"clean": None}),
        ("alpha_to_one", {}, {"clean": None, "low_levels": 0}),
        ("zero SNR with epsilon", {"rescale_betas_zero_snr": True, "prediction_type": "epsilon"}, {}),
        ("half precision", {}, {"precision": frozenset({"F16"})}),
        ("half precision", {}, {"network": {"torch_dtype": "torch.bfloat16"}}),
        ("stochastic encoding", {}, {"autoencoder": {"_class_name": "AutoencoderKL"}}),
        ("autoencoder precision", {}, {"autoencoder": {"force_upcast": True}}),
    ],
)
def test_each_fault_is_found_by_its_name_and_comes_with_a_cure(name, scheduler, rest):
    assert name in found(scheduler, **rest)


def test_what_a_configuration_leaves_out_is_as_in_diffusers():
    # DDIMScheduler clips, and spaces its steps from level 0 up, unless it is told otherwise.
    assert {finding.name for finding in examine(Chart({}))} >= {"clip_sample", "uncovered top level"}


@pytest.mark.parametrize("steps", [0, 1001])
def test_no_steps_or_more_than_levels_are_refused(steps):
    with pytest.raises(BadInput, match="1 to 1000"):
        examine(Chart(SOUND), steps)


class TestFolders:
    @pytest.fixture
    def folder(self, tmp_path):
        """Return a folder as diffusers saves it, without weights."""
        for name, file, content in (
            ("scheduler", "scheduler_config.json", {"_class_name": "DDIMScheduler", "clip_sample": True}),
            ("unet", "config.json", {"_class_name": "UNet2DConditionModel"}),
            ("vae", "config.json", {"_class_name": "AutoencoderKL", "force_upcast": True}),
        ):
            (tmp_path / name).mkdir()
            (tmp_path / name / file).write_text(json.dumps(content))
        return tmp_path

    def test_a_folder_of_diffusers_is_read_whole(self, folder):
        save_file({"w": torch.zeros(2).half()}, folder / "unet" / "diffusion_pytorch_model.safetensors")
        names = {finding.name for finding in examine(read_chart(folder))}
        assert names >= {"clip_sample", "half precision", "stochastic encoding", "autoencoder precision"}

    def test_a_flat_folder_is_read_as_well(self, tmp_path):
        (tmp_path / "scheduler_config.json").write_text(json.dumps({"thresholding": True}))
        assert "thresholding" in {finding.name for finding in examine(read_chart(tmp_path))}

    def test_broken_files_and_other_folders_are_refused(self, folder, tmp_path_factory):
        with pytest.raises(BadInput, match="scheduler_config"):
            read_chart(tmp_path_factory.mktemp("other"))
        weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
        weights.write_bytes(b"cut")
        with pytest.raises(BrokenFile, match="safetensors"):
            read_chart(folder)
        weights.unlink()
        (folder / "scheduler" / "scheduler_config.json").write_text("{")
        with pytest.raises(BrokenFile, match="scheduler_config"):
            read_chart(folder)


def test_a_round_trip_is_measured_on_the_latent_alone():
    generator = diffuser()
    assert not isinstance(generator.backend, Charted)
    report = round_trip(generator, 20)
    assert report.error < 1e-4
    assert report.calls > 20
