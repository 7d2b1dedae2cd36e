"""Bad input: one line that says what, where and what to do; status 2; no traceback; nothing left behind."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitloom.cli import main as main_function
from bitloom.cli import options
from bitloom.cli.errors import exit_status
from bitloom.data import SHIPPED_DIGITS
from bitloom.run import EXECUTORS
from bitloom.train import Recipe, train

RUN = ["run", "MODEL", "--executor", "numpy"]

# Arguments (MODEL and DIR are replaced), and what the line says.
CASES: list[tuple[list[str], str]] = [
    # Models
    (["show", "DIR/none.tflite"], "DIR/none.tflite: no such file; check the path"),
    (["show", "DIR"], "DIR: is a folder, not a model file; name the file inside it"),
    (["show", ""], "'': is a folder"),
    (
        ["show", "DIR/empty"],
        "DIR/empty: is empty; known formats: TFLite (.tflite), ONNX (.onnx), graph",
    ),
    (["show", "DIR/other"], "DIR/other: is not a model file of a known format; known formats"),
    (["show", "DIR/truncated.tflite"], "DIR/truncated.tflite: "),
    (["verify", "DIR/float.tflite"], "DIR/float.tflite: "),
    # Inputs
    ([*RUN, "--input", "DIR/none.npy"], "DIR/none.npy: cannot be read: No such file or directory"),
    ([*RUN, "--input", "DIR"], "DIR: cannot be read: Is a directory"),
    ([*RUN, "--input", ""], "'': cannot be read: No such file"),
    ([*RUN, "--input", "DIR/other"], "DIR/other: is neither an .npy nor an .npz file"),
    ([*RUN, "--input", "DIR/empty"], "DIR/empty: is neither an .npy nor an .npz file"),
    ([*RUN, "--input", "DIR/truncated.npy"], "DIR/truncated.npy: is damaged"),
    ([*RUN, "--input", "DIR/truncated.npz"], "DIR/truncated.npz: is damaged"),
    ([*RUN, "--input", "DIR/objects.npy"], "DIR/objects.npy: holds Python objects, which are never loaded"),
    ([*RUN, "--input", "DIR/objects.npz"], "DIR/objects.npz: holds Python objects, which are never loaded"),
    ([*RUN, "--input", "DIR/shape.npy"], "DIR/shape.npy: input 'input': has shape [4, 63]; give shape [n, 64] or"),
    ([*RUN, "--input", "DIR/float.npy"], "DIR/float.npy: input 'input': holds float64 numbers and the model takes"),
    ([*RUN, "--input", "DIR/range.npy"], "input 'input': holds values from -129 to 0, and int8 holds -128 to 127"),
    ([*RUN, "--input", "DIR/none.npz"], "DIR/none.npz: cannot be read"),
    ([*RUN, "--input", "DIR/names.npz"], "DIR/names.npz: input 'input' is missing; needed: input"),
    ([*RUN, "--input", "DIR/labels.npz"], "DIR/labels.npz: 'labels' is int64[3]; give 4 integers"),
    ([*RUN, "--input", "DIR/no.npy"], "DIR/no.npy: there are no inferences to compute"),
    ([*RUN, "--input", "DIR/good.npy", "--start-image", "4"], "--start-image 4 is beyond the end of the 4 inferences"),
    ([*RUN, "--dataset", "iris"], "input 'input': has 64 elements and iris 4 features"),
    ([*RUN, "--dataset", "cifar"], "argument --dataset: invalid choice: 'cifar'"),
    ([*RUN, "--dataset", "mnist", "--mnist-folder", "DIR"], "DIR/train-images-idx3-ubyte.gz: cannot read this MNIST"),
    # Numbers
    ([*RUN, "--num-images", "0"], "argument --num-images: 0 is too small, give at least 1; see bitloom run --help"),
    ([*RUN, "--num-images", "-3"], "argument --num-images: -3 is too small"),
    ([*RUN, "--num-images", "many"], "argument --num-images: 'many' is no whole number"),
    ([*RUN, "--start-image", "359"], "there is no sample 359; start at 0 to 358"),
    ([*RUN, "--start-image", "-1"], "argument --start-image: -1 is too small, give at least 0"),
    ([*RUN, "--batch-size", "0"], "argument --batch-size: 0 is too small"),
    ([*RUN, "--random", "0"], "argument --random: 0 is too small"),
    ([*RUN, "--seed", "-1"], "argument --seed: -1 is too small"),
    ([*RUN, "--interval", "0"], "argument --interval: 0 is too small"),
    # Choices
    (
        ["run", "MODEL", "--executor", "tensorflow"],
        "there is no executor 'tensorflow', choose from litert, onnxruntime",
    ),
    (["run", "MODEL", "--executor", "pyrtl", "--simulation", "quick"], "simulation is one of interpreted, fast"),
    (["run", "MODEL", "--executor", "verilog", "--simulator", "vcs"], "simulator is one of verilator, icarus, not"),
    ([*RUN, "--litert-kernels", "best"], "litert_kernels is one of reference, default, not 'best'"),
    ([*RUN, "--board", "moon"], "no board is named 'moon'; choose one of pynq-z2"),
    ([*RUN, "--interval", "9", "--dsp", "9"], "argument --dsp: not allowed with argument --interval"),
    (["run", "MODEL", "--executor", "pyrtl", "--interval", "1", "--bus", "axi"], "no folding reaches an interval of 1"),
    (["verify", "MODEL", "--executors", "numpy"], "comparing takes two executors or more, not 1"),
    (["verify", "MODEL", "--executors", "numpy,numpy"], "an executor is named twice in 'numpy,numpy'"),
    (["verify", "MODEL", "--executors", "numpy,"], "there is no executor ''"),
    (["demo", "--image", "359"], "there is no test image 359; choose 0 to 358"),
    (["run", "MODEL"], "the following arguments are required: --executor; see bitloom run --help"),
    (["paint", "MODEL"], "argument COMMAND: invalid choice: 'paint'"),
    (["run", "MODEL", "--exec", "numpy"], "required: --executor"),
    # Output
    ([*RUN, "--json", "DIR"], "DIR: is a folder, not a file to write"),
    ([*RUN, "--json", "DIR/none/x.json"], "DIR/none/x.json: cannot be written: No such file or directory"),
    (["verify", "MODEL", "--json", "DIR/other/x.json"], "DIR/other/x.json: cannot be written: Not a directory"),
    (["show", "MODEL", "-o", "DIR/none/x"], "DIR/none/x: cannot be written"),
    (["demo", "-o", "DIR/other"], "DIR/other: is a file, not a folder"),
    (["train", "--dataset", "digits", "-o", "DIR/other/x"], "DIR/other: is a file, not a folder"),
    # Training
    (["train", "--dataset", "digits", "--layers", "18,0", "-o", "DIR/t"], "argument --layers: 0 is too small"),
    (["train", "--dataset", "digits", "--layers", "a", "-o", "DIR/t"], "argument --layers: 'a' is no whole number"),
    (["train", "--dataset", "digits", "--epochs", "0", "-o", "DIR/t"], "argument --epochs: 0 is too small"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of everything that is wrong."""
    place = tmp_path_factory.mktemp("bad")
    (place / "empty").write_bytes(b"")
    (place / "other").write_bytes(b"neither this nor that")
    content = SHIPPED_DIGITS.read_bytes()
    (place / "truncated.tflite").write_bytes(content[: len(content) // 2])
    good = np.zeros((4, 64), np.int8)
    np.save(place / "good.npy", good)
    np.save(place / "shape.npy", good[:, :63])
    np.save(place / "float.npy", good / 2)
    np.save(place / "range.npy", good.astype(int) - np.eye(4, 64, dtype=int) * 129)
    np.save(place / "no.npy", good[:0])
    np.save(place / "objects.npy", np.array([{}], object))
    np.savez(place / "objects.npz", input=np.array([{}], object))
    np.savez(place / "names.npz", image=good)
    np.savez(place / "labels.npz", input=good, labels=np.arange(3))
    (place / "truncated.npy").write_bytes((place / "good.npy").read_bytes()[:-10])
    (place / "truncated.npz").write_bytes((place / "names.npz").read_bytes()[:-30])
    from bitloom.data import load_dataset

    trained = train(load_dataset("iris"), recipe=Recipe(layers=(3,), epochs=1, quantized_epochs=1))
    (place / "float.tflite").write_bytes(trained.float_model)
    return place


@pytest.mark.parametrize(("arguments", "said"), CASES, ids=[" ".join(case[0]) for case in CASES])
def test_bad_input_is_one_line(program: Any, folder: Path, arguments: list[str], said: str) -> None:
    before = sorted(folder.rglob("*"))
    filled = [argument.replace("MODEL", str(SHIPPED_DIGITS)).replace("DIR", str(folder)) for argument in arguments]
    ended = program(*filled)
    assert ended.status == 2
    assert ended.err.startswith("bitloom: error: ")
    assert ended.err.count("\n") == 1
    assert said.replace("DIR", str(folder)) in ended.err
    assert ended.out == ""
    assert sorted(folder.rglob("*")) == before


def test_a_float_model_is_named_as_such(program: Any, folder: Path) -> None:
    assert "float" in program("verify", folder / "float.tflite").err.split("float.tflite:")[1]


def test_tensorflow_that_is_not_installed_names_the_extra(
    program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    ended = program("train", "--dataset", "digits", "--framework", "tensorflow", "-o", tmp_path / "out")
    assert (ended.status, ended.out) == (2, "")
    assert "bitloom[tensorflow]" in ended.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (KeyboardInterrupt(), 130, "bitloom: error: interrupted\n"),
        (MemoryError(), 2, "bitloom: error: there is not enough memory"),
        (PermissionError(13, "Permission denied", "a\nb"), 2, "bitloom: error: a b: Permission denied\n"),
        (RuntimeError("some\nthing"), 3, "bitloom: error: this is a bug in bitloom (RuntimeError: some thing); "),
        (BrokenPipeError(), 141, ""),
        (SystemExit(0), 0, ""),
        (SystemExit(None), 0, ""),
    ],
)
def test_every_other_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, said: str
) -> None:
    # The real standard output must survive: a broken pipe would replace it.
    monkeypatch.setattr("os.dup2", lambda *_: None)

    def fail() -> int:
        raise error

    assert exit_status(fail) == status
    written = capsys.readouterr().err
    assert written.startswith(said)
    assert written.count("\n") == bool(said)


@pytest.mark.usefixtures("_ctrl_c")
def test_an_interrupt_that_became_another_error_is_an_interrupt(capsys: pytest.CaptureFixture[str]) -> None:
    """As of a module in C that was being imported: the interrupt is lost, and an ImportError comes out."""

    def fail() -> int:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise ImportError("initialization failed")

    assert exit_status(fail) == 130
    assert capsys.readouterr().err == "bitloom: error: interrupted\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_bug_shows_its_traceback_only_where_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> int:
        raise ZeroDivisionError("by zero")

    assert exit_status(fail) == 3
    quiet = capsys.readouterr().err
    assert "Traceback" not in quiet
    assert "BITLOOM_TRACEBACK=1" in quiet
    monkeypatch.setenv("BITLOOM_TRACEBACK", "1")
    assert exit_status(fail) == 3
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_names_from_files_cannot_steer_the_terminal(program: Any, tmp_path: Path) -> None:
    ended = program("show", tmp_path / "red\x1b[31m\nname")
    assert ended.status == 2
    assert "\x1b" not in ended.err
    assert ended.err.count("\n") == 1


def test_no_command_prints_the_help(program: Any) -> None:
    ended = program()
    assert ended.status == 2
    assert ended.out.startswith("usage: bitloom")


def test_help_and_version(program: Any) -> None:
    ended = program("--help")
    assert ended.status == 0
    for name in ("demo", "run", "verify", "show", "train"):
        assert f"    {name} " in ended.out
        own = program(name, "--help")
        assert own.status == 0
        assert own.out.startswith(f"usage: bitloom {name}")
        assert max(map(len, own.out.splitlines())) < 110
    assert program("--version").out.startswith("bitloom 0.")


def test_executor_names_are_those_there_are() -> None:
    assert options.EXECUTOR_NAMES == tuple(EXECUTORS)


def test_commands_are_modules_of_one_shape() -> None:
    from bitloom.cli.main import COMMANDS

    assert {"demo", "run", "verify", "show", "train"} <= set(COMMANDS)
    for name in COMMANDS:
        module = __import__(f"bitloom.cli.{name}", fromlist=["run"])
        assert isinstance(module, types.ModuleType)
        assert module.NAME == name
        assert module.HELP[0].islower()
        assert not module.HELP.endswith(".")
        module.add_arguments(argparse.ArgumentParser())


def bitloom_process(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bitloom", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; from bitloom.cli import main; status = main(['--help']);"
        "print([name for name in ('numpy', 'pyrtl', 'rich', 'ai_edge_litert') if name in sys.modules], status)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.endswith("[] 0\n")


def test_as_a_process() -> None:
    ended = bitloom_process("show", "/nowhere/none.tflite")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "bitloom: error: /nowhere/none.tflite: no such file; check the path\n"


def closed_pipe() -> None:
    """Close the reading end of standard output before the program writes."""
    read, write = os.pipe()
    os.close(read)
    os.dup2(write, 1)


@pytest.mark.parametrize("prepare", [closed_pipe, lambda: os.close(1)], ids=["broken pipe", "closed"])
@pytest.mark.parametrize(
    "arguments",
    [("show", "--full"), ("verify", "--random", "2", "--executors", "litert,numpy")],
    ids=["show", "verify"],
)
def test_nobody_reads(prepare: Callable[[], None], arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "bitloom", arguments[0], str(SHIPPED_DIGITS), *arguments[1:]]
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, preexec_fn=prepare, check=False)
    assert ended.stderr == ""
    assert ended.returncode == (141 if prepare is closed_pipe else 0)


def test_a_full_disk_is_an_error() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full")
    with full.open("w") as output:
        command = [sys.executable, "-m", "bitloom", "show", str(SHIPPED_DIGITS)]
        ended = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr == "bitloom: error: the system: No space left on device\n"


def test_the_program_is_the_function() -> None:
    assert callable(main_function)
