"""``bitloom train``: a network of dense layers, trained and quantized."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bitloom.cli import files
from bitloom.cli.options import not_negative, positive
from bitloom.cli.progress import progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from bitloom.data import Dataset
    from bitloom.train import EpochReport, Trained

NAME = "train"
HELP = "train a network of dense layers and quantize it, to float and int8 .tflite files"

_EPILOG = """\
Written: float.tflite, int8.tflite, and weights.npz with the integer weights, biases, scales,
multipliers and shifts. The same arguments give the same bytes on every machine, but through TensorFlow.

examples:
  bitloom train --dataset digits -o digits
  bitloom train --dataset mnist --layers 18 --mnist-folder ~/mnist -o mnist
  bitloom train --dataset mnist --layers 64,32,16 --per-channel -o deep"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--dataset",
        required=True,
        choices=("digits", "mnist", "iris"),
        help="digits and iris come with bitloom; mnist is 12x12 pixels here, fetched with a checksum or read from "
        "--mnist-folder",
    )
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for the three files")
    parser.add_argument(
        "--layers", type=_sizes, metavar="N,N,...", help="sizes of the hidden layers (default: the data set's recipe)"
    )
    parser.add_argument("--epochs", type=positive, metavar="N", help="passes in float (default: the recipe's)")
    parser.add_argument(
        "--quantized-epochs", type=positive, metavar="N", help="passes of quantization-aware training after that"
    )
    parser.add_argument("--seed", type=not_negative, default=0, metavar="S", help="of the initial weights (default: 0)")
    parser.add_argument("--per-channel", action="store_true", help="one weight scale per output, not per layer")
    parser.add_argument("--softmax", action="store_true", help="end the int8 network with SOFTMAX")
    parser.add_argument(
        "--framework",
        choices=("numpy", "tensorflow"),
        default="numpy",
        help="numpy (default), or tensorflow: its own quantization-aware training and converter, an optional extra",
    )
    parser.add_argument("--mnist-folder", "--folder", metavar="DIR", help="where the four MNIST files are")
    parser.add_argument("--quiet", action="store_true", help="print no epochs")


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(positive(part.strip()) for part in text.split(","))


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from bitloom.cli.render import output_console
    from bitloom.data import load_dataset

    files.check_folder(arguments.output)
    train = _trainer(arguments.framework)
    with progress() as report:

        def fetched(name: str, received: int, total: int) -> None:
            report(f"fetching {name} (kB)", received // 1000, total // 1000 or None)

        dataset = load_dataset(arguments.dataset, folder=arguments.mnist_folder, progress=fetched)
    console = output_console()
    trained = train(
        dataset,
        arguments.layers,
        arguments.seed,
        arguments.epochs,
        quantized_epochs=arguments.quantized_epochs,
        per_channel=arguments.per_channel,
        softmax=arguments.softmax,
        progress=None if arguments.quiet else _printer(console),
    )
    paths = trained.write(arguments.output)
    _print_summary(console, dataset, trained)
    for path in paths:
        console.print(f"written    {path}", soft_wrap=True)
    return 0


def _trainer(framework: str) -> Callable[..., Trained]:
    from bitloom.train import require_tensorflow, train, train_with_tensorflow

    if framework != "tensorflow":
        return train
    require_tensorflow()
    return train_with_tensorflow


def _printer(console: Console) -> Callable[[EpochReport], None]:
    def show(epoch: EpochReport) -> None:
        name = "float" if epoch.phase == "float" else "quantization-aware"
        console.print(
            f"{name:<18}  epoch {epoch.epoch:>3} of {epoch.epochs}   loss {epoch.loss:.4f}   "
            f"train {100 * epoch.train_accuracy:6.2f} %   test {100 * epoch.test_accuracy:6.2f} %",
            soft_wrap=True,
        )

    return show


def _print_summary(console: Console, dataset: Dataset, trained: Trained) -> None:
    """Both accuracies, of the files as LiteRT computes them."""
    sizes = "-".join(map(str, trained.layer_sizes))
    count = len(dataset.test_y)
    console.print(f"\nnetwork    {sizes} on {dataset.name}, seed {trained.seed}", soft_wrap=True)
    for name, accuracy in (("float", trained.float_accuracy), ("int8", trained.quantized_accuracy)):
        right = round(accuracy * count)
        console.print(f"{name:<9}  {100 * accuracy:.2f} %  ({right:,} of {count:,} test samples right)", soft_wrap=True)
