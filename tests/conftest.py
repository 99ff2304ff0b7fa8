"""Fixtures that several tests share."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import settings

settings.register_profile("same everywhere", derandomize=True)
settings.load_profile("same everywhere")

PROMPTS = (
    '[Image 1] looks at us and says: "good morning". The camera pushes in slowly.',
    "Warm light from the left, low contrast, matte skin. We hear soft rain.",
)


@pytest.fixture(scope="session")
def open_script() -> Callable[[str], ModuleType]:
    """Opens a script of training/, by its name, as a module."""

    def opened(name: str) -> ModuleType:
        file = Path(__file__).parents[1] / "training" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"{name}_script", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return opened


@pytest.fixture(scope="session")
def tiny_pipeline_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that Pipeline.from_pretrained opens: untrained, 32×32 pixels, up to 1.28 s."""
    from horsekit.tokenizers import AudioTokenizer, TextTokenizer, VideoTokenizer
    from horsekit.transformer import TransformerConfig, UnifiedTransformer, save_transformer

    folder = tmp_path_factory.mktemp("tiny")
    text = TextTokenizer.train(PROMPTS, vocabulary=400)
    config = TransformerConfig(
        num_layers=2,
        hidden_size=32,
        head_dim=16,
        num_query_groups=1,
        video_in_channels=8,
        audio_in_channels=4,
        mm_layers=(0,),
        gelu7_layers=(0,),
        patch=(1, 1, 1),
        text_vocab_size=text.vocab_size,
        num_slots=4,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = UnifiedTransformer(config)
        for parameter in model.parameters():  # what starts at zero would hide what is before it
            if parameter.ndim == 2 and not parameter.any():
                torch.nn.init.normal_(parameter, std=0.1)
        save_transformer(model, folder / "transformer")
        VideoTokenizer(dim=8, width=16, blocks=1, widths=(16, 16, 16)).save_pretrained(folder / "video")
        AudioTokenizer(dim=4, bands=16, width=16, blocks=1).save_pretrained(folder / "audio")
    text.save_pretrained(folder / "text")
    card = {
        "size": [32, 32],
        "max_seconds": 1.28,
        "steps": 3,
        "shift": 3.0,
        "guidance": {"text": 2.0, "reference": 1.5},
        "sampler": "unipc",
    }
    (folder / "pipeline.json").write_text(json.dumps(card))
    return folder


@pytest.fixture
def strong_adapter(tiny_pipeline_folder):
    """Writes an adapter of the small model that changes much, to a path, with metadata and a scope."""
    from horsekit import Pipeline

    def write(path: Path, metadata: dict[str, str], scope: str = "all") -> Path:
        from horsekit.adapters.lora import add_lora, save_adapter

        model = Pipeline.from_pretrained(tiny_pipeline_folder).transformer
        add_lora(model, rank=2, alpha=2.0, scope=scope)
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if "lora_B" in key:
                    parameter.fill_(0.5)
        save_adapter(model, path, metadata)
        return path

    return write
