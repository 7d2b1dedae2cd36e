"""``bitloom run``: inferences by one executor, image by image."""

from __future__ import annotations

import argparse
import operator
from typing import TYPE_CHECKING, Any

from bitloom.cli import files
from bitloom.cli.inputs import Inferences, add_input_arguments, model_path, read_inferences
from bitloom.cli.options import EXECUTOR_NAMES, add_executor_arguments, executor_name, executor_options
from bitloom.cli.progress import progress
from bitloom.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from bitloom.frontends import Model
    from bitloom.run import RunResult
    from bitloom.run.answers import Answers
    from bitloom.run.executor import ExecutorOptions

NAME = "run"
HELP = "compute inferences with one executor and print every answer"

_EPILOG = """\
examples:
  bitloom run digits.tflite --executor numpy --dataset digits --num-images all
  bitloom run digits.tflite --executor verilog --simulator icarus --start-image 20 --num-images 5
  bitloom run iris --executor verilog --dataset iris --num-images all --confusion iris.svg
  bitloom run model.tflite --executor litert --input images.npy --json answers.json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "model",
        metavar="MODEL",
        type=model_path,
        help="digits or iris, which come with bitloom; a .tflite or .onnx file; or the text of a graph "
        "(bitloom show --full)",
    )
    parser.add_argument(
        "--executor",
        required=True,
        type=executor_name,
        metavar="NAME",
        help=f"one of {', '.join(EXECUTOR_NAMES)}; all print the same format",
    )
    add_input_arguments(parser, default_count=10)
    add_executor_arguments(parser)
    group = parser.add_argument_group("output")
    group.add_argument("--json", metavar="FILE", help="write everything printed there too ('-': only JSON, to stdout)")
    group.add_argument(
        "--confusion", metavar="FILE", help="write the confusion matrix there as a picture (.svg); needs labels"
    )
    group.add_argument("--quiet", action="store_true", help="print the summary only")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from bitloom.api import load
    from bitloom.cli.answer_lines import confusion_of, print_summary
    from bitloom.cli.render import output_console
    from bitloom.run.answers import answers

    options = executor_options(arguments)
    files.check_file(arguments.json)
    if arguments.confusion is not None and not arguments.confusion.lower().endswith(".svg"):
        raise UsageError("the picture is SVG", where=arguments.confusion, remedy="let the name end with .svg")
    files.check_file(arguments.confusion)
    model = load(arguments.model)
    inferences = read_inferences(model.graph, arguments)
    if arguments.confusion is not None and inferences.labels is None:
        raise UsageError(
            f"the right answers of {inferences.description} are not known", where="--confusion", remedy="use --dataset"
        )
    console = output_console()
    console.quiet = arguments.json == files.STANDARD_OUTPUT
    result = _compute(model, inferences, arguments, options, console)
    found = answers(model.graph, result.tensors)
    print_summary(console, inferences, result, found)
    if arguments.json is not None:
        files.write_json(arguments.json, _json(model, inferences, result, found))
    confusion = confusion_of(inferences, found)
    if arguments.confusion is not None and confusion is not None:
        files.write_text(
            arguments.confusion, confusion.svg(f"{model.name} on {result.executor}: {100 * confusion.accuracy:.2f} %")
        )
    return 0


def _compute(
    model: Model, inferences: Inferences, arguments: argparse.Namespace, options: ExecutorOptions, console: Console
) -> RunResult:
    """Run batch by batch, printing the answers of each as it is done."""
    from bitloom.cli.answer_lines import AnswerLines
    from bitloom.cli.render import label
    from bitloom.run import create_executor
    from bitloom.run.answers import answers
    from bitloom.run.batches import joined, run_batches

    with progress() as report:
        report(f"{arguments.executor}: preparing")
        executor = create_executor(arguments.executor, model, options)
    title = f"{arguments.model} on {arguments.executor}: {inferences.description}"
    console.print(label(title, "bold"), soft_wrap=True)
    results = []
    with progress(shown=arguments.quiet or not console.is_terminal) as report:
        for start, result in run_batches(executor, inferences.inputs, options.batch_size):
            results.append(result)
            if not arguments.quiet:
                lines = AnswerLines(answers(model.graph, result.tensors), model.graph, inferences)
                if start == 0:
                    console.print(lines.heading(), soft_wrap=True)
                for row in range(result.inferences):
                    console.print(lines.line(row, start + row), soft_wrap=True)
            report(arguments.executor, start + result.inferences, inferences.count)
    return joined(results)


def _json(model: Model, inferences: Inferences, result: RunResult, found: Answers) -> dict[str, Any]:
    from bitloom.cli.answer_lines import confusion_of

    labels = None if inferences.labels is None else inferences.labels.tolist()
    confusion = confusion_of(inferences, found)
    classes = found.classes.tolist()
    return {
        "model": model.name,
        "executor": result.executor,
        "inferences": inferences.count,
        "accuracy": None if labels is None else sum(map(operator.eq, classes, labels)) / len(labels),
        **({} if confusion is None else {"metrics": confusion.to_json()}),
        "seconds": result.seconds,
        "setup_seconds": result.setup_seconds,
        "inferences_per_second": result.inferences_per_second,
        "latency_cycles": result.cycles.latency if result.cycles else None,
        "interval_cycles": result.cycles.interval if result.cycles else None,
        "scores": found.tensor,
        "images": [
            {
                "image": inferences.first + position,
                "expected": None if labels is None else labels[position],
                "actual": classes[position],
                "scores": found.scores[position].tolist(),
            }
            for position in range(inferences.count)
        ],
    }
