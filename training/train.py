"""Train a model: deepspeed (or torchrun, or python) training/train.py configs/train/X.yaml key=value ..."""

import argparse
import sys

from horsekit.engine import TrainConfig, load_config


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="a file of configs/train/")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="put over the file, e.g. steps=100")
    parser.add_argument("--local_rank", help=argparse.SUPPRESS)  # passed by the deepspeed launcher
    options = parser.parse_args()
    try:
        run(load_config(options.config, options.overrides))
    except ValueError as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    return 0


def run(config: TrainConfig) -> None:
    """Assemble what the config names and train."""
    from horsekit.engine import assemble, preview
    from horsekit.engine.checkpoint import characters_of
    from horsekit.engine.launch import launch
    from horsekit.engine.loop import train

    place = launch()
    tokenizers, folder = assemble.open_tokenizers(config)
    model = assemble.build_model(config, tokenizers)
    batches = assemble.build_training_batches(config, tokenizers, folder, place)
    held_out = config.held_out and assemble.build_batches(config.held_out, config, tokenizers, folder, place)
    previewer = None
    if config.preview_every and place.first:
        shown = config.held_out or config.data
        requests = preview.preview_requests(shown, folder)
        settings = preview.preview_settings(shown, folder)
        previewer = preview.Previewer(tokenizers, settings, requests, characters_of(config))
    objective = assemble.build_objective(config, tokenizers, model.config.predicts)
    result = train(config, place, model, batches, objective, held_out, previewer)
    if place.first:
        how = "finished" if result.complete else "stopped; the same command goes on from here"
        print(f"{how}: step {result.progress.step}, {result.weights}")


if __name__ == "__main__":
    sys.exit(main())
