"""``bitloom quantize``: from a float model and samples to integers."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from bitloom.cli import files
from bitloom.cli.options import not_negative, positive
from bitloom.cli.progress import progress
from bitloom.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import Console

    from bitloom.ir.float_graph import FloatGraph
    from bitloom.ir.operator import Array
    from bitloom.quantize import Quantized, QuantizeOptions
    from bitloom.quantize.compare import TensorError
    from bitloom.quantize.sensitivity import Sensitivity

NAME = "quantize"
HELP = "make an integer network of a float model, with samples to calibrate by"

_EPILOG = """\
The format of the output is what its name ends with: .bitloom (text with all constants), .tflite, .onnx (QDQ).
Every operator then computes exactly as LiteRT's reference kernels do: `bitloom verify OUT` shows it.

examples:
  bitloom train --dataset digits -o digits
  bitloom quantize digits/float.tflite --calibrate digits -o digits.bitloom
  bitloom quantize model.tflite --calibrate samples.npy --bits 4/8 -o narrow.tflite
  bitloom quantize model.tflite --calibrate samples.npz --layer logits=8/16 --ranges entropy -o model.bitloom"""

_COMPARED = 100
_NAME_WIDTH = 32
_DEFAULT_SAMPLES = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("model", metavar="MODEL", help="a float model file, .tflite or .onnx")
    parser.add_argument(
        "--calibrate",
        required=True,
        metavar="DATA",
        help="samples like those in use: an .npy, .npz or .csv file, a folder of them, digits, iris or mnist "
        "(the training split), or random (only to try things out)",
    )
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="a .bitloom, .tflite or .onnx file")
    parser.add_argument(
        "--bits", default="8/8", metavar="W/A", help="of weights and activations, 2 to 16 (default: 8/8)"
    )
    parser.add_argument(
        "--layer",
        action="append",
        default=[],
        metavar="NAME=W/A",
        help="other bits for the layer that makes the tensor NAME; may be given several times",
    )
    scales = parser.add_mutually_exclusive_group()
    scales.add_argument(
        "--per-channel", action="store_true", help="a scale for each output channel of weights (default)"
    )
    scales.add_argument("--per-tensor", action="store_true", help="one scale for all weights of a layer")
    group = parser.add_argument_group("ranges")
    group.add_argument(
        "--ranges",
        choices=("min-max", "percentile", "mse", "entropy"),
        default="mse",
        help="of activations: everything seen, most of it, with the least squared error (default), with the least "
        "loss of information",
    )
    group.add_argument(
        "--percentile", type=float, default=99.99, metavar="P", help="inside the range on either side (default: 99.99)"
    )
    group.add_argument(
        "--weight-ranges",
        choices=("auto", "min-max", "mse"),
        default="auto",
        help="of weights; auto: mse below 8 bits",
    )
    group.add_argument("--symmetric", action="store_true", help="activations with the zero point 0")
    group.add_argument("--power-of-two", action="store_true", help="scales that are powers of two")
    refining = parser.add_argument_group("refinements")
    for flag, text in (
        ("--adaptive-rounding", "round weights so that layers' outputs have the least error"),
        ("--bias-correction", "take back with biases what rounding adds on average"),
    ):
        refining.add_argument(
            flag, choices=("auto", "on", "off"), default="auto", help=f"{text}; auto: where weights have < 8 bits"
        )
    refining.add_argument(
        "--equalize", action="store_true", help="move scales between neighbouring layers first (helps --per-tensor)"
    )
    refining.add_argument(
        "--average-bits",
        type=float,
        metavar="B",
        help="choose the weights' widths by each layer's sensitivity, B bits on average",
    )
    refining.add_argument("--sensitivity", action="store_true", help="show what each layer would lose at each width")
    group.add_argument(
        "--dead-channels",
        choices=("refuse", "keep"),
        default="refuse",
        help="what becomes of channels whose weights, and tensors whose values are all 0 (default: refuse)",
    )
    parser.add_argument(
        "--float-io", action="store_true", help="keep real inputs and outputs, with conversions at the edges"
    )
    data = parser.add_argument_group("samples")
    data.add_argument(
        "--samples", type=positive, metavar="N", help=f"at most so many (default: {_DEFAULT_SAMPLES}; 100 random ones)"
    )
    data.add_argument("--seed", type=not_negative, default=0, metavar="S", help="of random samples (default: 0)")
    data.add_argument("--mnist-folder", "--folder", metavar="DIR", help="where the four MNIST files are")
    parser.add_argument("--json", metavar="FILE", help="write what was decided there, too; - is standard output")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from bitloom.export.save import check_destination, save
    from bitloom.frontends import load_float
    from bitloom.quantize import quantize
    from bitloom.quantize.compare import compare
    from bitloom.quantize.quantize import measured
    from bitloom.quantize.samples import RANDOM, read_samples

    options = _options(arguments)
    check_destination(arguments.output)
    files.check_other(arguments.output, arguments.model)
    _check_format(options, arguments.output)
    files.check_file(arguments.json)
    with progress() as report:
        report("reading")
        graph = load_float(arguments.model)
        count = arguments.samples or (None if arguments.calibrate == RANDOM else _DEFAULT_SAMPLES)
        samples = read_samples(graph, arguments.calibrate, count, seed=arguments.seed, folder=arguments.mnist_folder)

        def told(step: str, done: int, total: int) -> None:
            report(step, done, total)

        made = quantize(graph, samples, options, progress=told)
        report("comparing")
        compared = {name: array[:_COMPARED] for name, array in made.state.inputs.items()}
        errors = compare(made.state.graph, made.graph, compared)
        accuracies = _accuracies(made, arguments, partial(told, "counting right answers"))
        sensitivities = measured(made.state, partial(told, "measuring sensitivity")) if arguments.sensitivity else ()
    save(made.graph, arguments.output)
    if arguments.json:
        content = _content(made, errors, accuracies)
        if arguments.sensitivity:
            content["sensitivity"] = [_losses(each) for each in sensitivities]
        files.write_json(arguments.json, content)
    if arguments.json != files.STANDARD_OUTPUT:
        if arguments.sensitivity:
            _print_sensitivities(sensitivities)
        _print(made, errors, accuracies, arguments)
    return 0


def _options(arguments: argparse.Namespace) -> QuantizeOptions:
    from bitloom.quantize import QuantizeOptions, Widths

    layers = {}
    for text in arguments.layer:
        name, separator, bits = text.rpartition("=")
        if not separator or not name:
            raise UsageError(f"'{text}' gives no layer bits", where="--layer", remedy="write NAME=W/A")
        layers[name] = Widths.parse(bits)
    return QuantizeOptions(
        widths=Widths.parse(arguments.bits),
        layers=layers,
        per_channel=not arguments.per_tensor,
        ranges=arguments.ranges,
        percentile=arguments.percentile,
        weight_ranges=arguments.weight_ranges,
        symmetric=arguments.symmetric,
        power_of_two=arguments.power_of_two,
        equalize=arguments.equalize,
        adaptive_rounding=arguments.adaptive_rounding,
        bias_correction=arguments.bias_correction,
        average_weight_bits=arguments.average_bits,
        dead_channels=arguments.dead_channels,
        float_io=arguments.float_io,
    )


def _check_format(options: QuantizeOptions, output: str) -> None:
    """Refuse widths that the format lacks before the long work."""
    if not output.endswith(".tflite"):
        return
    for widths in (options.widths, *options.layers.values()):
        if widths.activations not in (8, 16) or widths.weights > 8:
            raise UsageError(
                f"TFLite has no kernels for {widths} bits, only for weights of up to 8 and activations of 8 or 16",
                where=output,
                remedy="write a .bitloom file, or choose other --bits",
            )


def _accuracies(
    made: Quantized, arguments: argparse.Namespace, told: Callable[[int, int], None]
) -> tuple[int, int, int] | None:
    """Test samples that the float network gets right, the integer one, and how many there are; of data sets only."""
    from bitloom.quantize.compare import integer_inputs
    from bitloom.quantize.samples import labelled_test_split
    from bitloom.run.float_litert import FloatEvaluator

    reference, graph = made.state.graph, made.graph
    split = labelled_test_split(reference, arguments.calibrate, folder=arguments.mnist_folder)
    if split is None or len(reference.outputs) != 1:
        return None
    inputs, labels = split
    name = reference.outputs[0]
    if int(labels.max()) >= _size(reference, name) > 1:
        return None
    wanted = _right(FloatEvaluator(reference).run(inputs, told, wanted=reference.outputs)[name], labels)
    found = done = 0
    for part, part_labels in _parts(inputs, labels):
        found += _right(graph.evaluate(integer_inputs(graph, part))[name], part_labels)
        done += len(part_labels)
        told(done, len(labels))
    return wanted, found, len(labels)


def _parts(inputs: Mapping[str, Array], labels: Array) -> list[tuple[dict[str, Array], Array]]:
    """Some hundred samples at a time, so that memory does not grow with their number."""
    size = 256
    return [
        ({name: array[start : start + size] for name, array in inputs.items()}, labels[start : start + size])
        for start in range(0, len(labels), size)
    ]


def _right(outputs: Array, labels: Array) -> int:
    flat = outputs.reshape(len(outputs), -1)
    classes = flat.argmax(axis=1) if flat.shape[1] > 1 else flat[:, 0]
    return int((classes == labels).sum())


def _size(graph: FloatGraph, name: str) -> int:
    import math

    return math.prod(graph.tensor(name).shape)


def _content(
    made: Quantized, errors: tuple[TensorError, ...], accuracies: tuple[int, int, int] | None
) -> dict[str, object]:
    """What was decided, as plain values."""
    graph, state = made.graph, made.state
    layers = []
    for node in state.graph.nodes:
        name = node.outputs[0]
        weights = state.weights.get(name)
        made_type = state.chosen.types.get(name)
        layers.append(
            {
                "name": name,
                "operator": node.kind,
                "weight_bits": weights.type.element.bits if weights else None,
                "weights": weights.type.size if weights else 0,
                "activation_bits": made_type.element.bits if made_type else None,
                "scale": made_type.required_quantization.scale if made_type else None,
                "zero_point": made_type.required_quantization.zero_point if made_type else None,
            }
        )
    result: dict[str, object] = {
        "name": graph.name,
        "samples": len(next(iter(state.inputs.values()))),
        "layers": layers,
        "sqnr_db": {error.name: error.decibels for error in errors},
        "macs": graph.macs,
    }
    if accuracies is not None:
        right_float, right, count = accuracies
        result["accuracy"] = {"float": right_float / count, "integers": right / count, "samples": count}
    return result


def _print(
    made: Quantized,
    errors: tuple[TensorError, ...],
    accuracies: tuple[int, int, int] | None,
    arguments: argparse.Namespace,
) -> None:
    from bitloom.cli.render import label, make_table, output_console, percent, shortened

    console: Console = output_console()
    state, decibels = made.state, {error.name: error.decibels for error in errors}
    table = make_table(
        console, "layer", "operator", "weights", "bits", "range", "SQNR", right=("weights", "bits", "SQNR")
    )
    for node in state.graph.nodes:
        name = node.outputs[0]
        weights, made_type = state.weights.get(name), state.chosen.types.get(name)
        bits = f"{weights.type.element.bits if weights else ''}/{made_type.element.bits if made_type else ''}"
        table.add_row(
            label(shortened(name, _NAME_WIDTH)),
            label(node.kind.lower()),
            label(f"{weights.type.size:,}" if weights else ""),
            label(bits if weights else bits.removeprefix("/")),
            label(_range(state.chosen.types, name)),
            label(f"{decibels[name]:.1f} dB" if name in decibels else ""),
        )
    console.print(table)
    samples = len(next(iter(state.inputs.values())))
    console.print(f"\ncalibrated  by {samples:,} samples from {arguments.calibrate}", soft_wrap=True)
    if accuracies is not None:
        right_float, right, count = accuracies
        for name, number in (("float", right_float), ("integers", right)):
            said = f"{name:<11} {percent(number, count)}  ({number:,} of {count:,} test samples right)"
            console.print(said, soft_wrap=True)
    console.print(f"written     {arguments.output}", soft_wrap=True)


def _losses(sensitivity: Sensitivity) -> dict[str, object]:
    return {"name": sensitivity.layer, "weights": sensitivity.noise, "result": sensitivity.result_noise}


def _print_sensitivities(sensitivities: Sequence[Sensitivity]) -> None:
    """Signal to noise at the outputs, with one layer's weights, or its result, rounded and all else real."""
    import math

    from bitloom.cli.render import label, make_table, output_console

    console: Console = output_console()
    widths = sorted({bits for each in sensitivities for bits in each.noise})
    columns = [f"{bits} bits" for bits in widths]
    table = make_table(console, "layer", "rounded", *columns, right=columns)
    for each in sensitivities:
        for name, noise in (("weights", each.noise), ("result", each.result_noise)):
            decibels = [-10 * math.log10(noise[bits]) if noise.get(bits) else math.inf for bits in widths]
            table.add_row(label(each.layer), label(name), *(label(f"{number:.1f} dB") for number in decibels))
    console.print(table)


def _range(types: Mapping[str, object], name: str) -> str:
    from bitloom.ir import TensorType

    made = types.get(name)
    if not isinstance(made, TensorType):
        return ""
    quantization, element = made.required_quantization, made.integer
    ends = (quantization.scale * (end - quantization.zero_point) for end in (element.minimum, element.maximum))
    return " to ".join(f"{end:.4g}" for end in ends)
