"""A config is either right or refused in one sentence that names the key."""

import pytest
import yaml

from horsekit.engine.config import ConfigError, TrainConfig, load_config, zero_config

SMALL = {
    "name": "x",
    "mode": "pretrain",
    "model": "horse-tiny",
    "data": {"kind": "stage", "path": "cache/x"},
    "batch_size": 2,
    "steps": 10,
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return path


def test_overrides_are_yaml_and_may_be_dotted(file):
    overrides = ["optimizer.lr=1e-4", "held_out.kind=stage", "held_out.path=y", "gradient_checkpointing=true"]
    config = load_config(file, [*overrides, "max_minutes=2.5", "data.references=[a.png, b]"])
    assert config.optimizer.lr == 1e-4
    assert config.held_out.path == "y"
    assert config.gradient_checkpointing is True
    assert config.max_minutes == 2.5
    assert config.data.references == ("a.png", "b")


def test_what_is_written_reads_back_the_same(file, tmp_path):
    config = load_config(file, ["ema.decay=0.9", "data.recipe={text_drop: 0.2}"])
    (tmp_path / "again.yaml").write_text(config.to_yaml())
    assert load_config(tmp_path / "again.yaml") == config


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("stepz=3", "unknown key stepz; known keys here are name, mode"),
        ("optimizer.speed=3", "unknown key optimizer.speed; known keys here are kind, lr"),
        ("held_out.kinds=stage", "unknown key held_out.kinds; known keys here are kind, path"),
        ("data.recipe.text=1", "unknown key 'text'; known keys here are audio_to_video"),
        ("steps=many", "steps is 'many'"),
        ("steps=0", "steps is 0"),
        ("optimizer.lr=.nan", "optimizer.lr is nan"),
        ("optimizer.lr=[1]", "optimizer.lr is [1]"),
        ("zero=4", "zero is 4"),
        ("mode=train", "mode is 'train'"),
        ("name=../x", "name is '../x'"),
        ("data.recipe.text_drop=2", "text_drop is 2"),
        ("steps", "'steps' is no override"),
        ("steps.more=1", "steps is 10 and has no keys"),
        ("steps={", "not YAML"),
        ("evaluate_every=5", "evaluate_every needs held_out"),
    ],
)
def test_a_bad_override_is_refused_by_name(file, override, said):
    with pytest.raises(ConfigError) as error:
        load_config(file, [override])
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_key_is_named(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in SMALL.items() if key != "model"}))
    with pytest.raises(ConfigError, match="model is missing"):
        load_config(path)


@pytest.mark.parametrize(
    ("text", "said"), [("a: [", "is not YAML"), ("- 1", "holds no keys"), ("", "holds no keys")]
)
def test_a_file_that_is_no_config_is_refused(tmp_path, text, said):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_config(tmp_path / "x.yaml")


def test_a_config_that_is_not_there_names_those_that_are():
    with pytest.raises(ConfigError, match=r"configs/train/horse-tiny\.yaml"):
        load_config("configs/train/missing.yaml")


def test_muon_with_cut_up_matrices_is_refused_with_the_remedy(file):
    with pytest.raises(ConfigError, match=r"set zero=0 or optimizer\.kind=adamw"):
        load_config(file, ["zero=2", "optimizer.kind=muon"])
    with pytest.raises(ConfigError, match=r"set optimizer\.kind=adamw"):
        load_config(file, ["mode=lora", "optimizer.kind=muon"])


def test_a_config_cannot_be_changed():
    config = TrainConfig(**SMALL)
    with pytest.raises(ValueError, match="frozen"):
        config.steps = 3


@pytest.mark.parametrize("stage", range(4))
def test_each_zero_stage_has_its_settings(stage):
    assert zero_config(stage)["zero_optimization"]["stage"] == stage
