"""Run cocotb tests on Verilog text under Icarus from pytest.

    run_cocotb(verilog_text, top="axi_sum", module="cocotb_axi_demo", folder=tmp_path)

The module lies beside the pytest file that calls this, or in tests/support; its name must not begin with ``test_``,
for its tests run inside the simulator. Values for it go through ``environment``.
"""

from __future__ import annotations

import inspect
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest


def run_cocotb(
    verilog: str,
    *,
    top: str,
    module: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    seed: int = 1,
    testcase: str | None = None,
) -> None:
    """Compile, run every cocotb test of a module, and fail if one fails or none ran.

    Args:
        verilog: the sources, all modules in one text.
        top: the module to simulate.
        module: name of the Python module that holds the cocotb tests.
        folder: where to put files; pytest's ``tmp_path``.
        environment: variables the tests read through ``os.environ``.
        seed: of Python's ``random`` in the tests.
        testcase: run only this test.

    Skips where Icarus Verilog or cocotb is not installed.
    """
    if shutil.which("iverilog") is None:
        pytest.skip("Icarus Verilog (iverilog) is not installed: the bus-model tests need it")
    pytest.importorskip("cocotb", reason="cocotb is not installed: install the development tools")
    pytest.importorskip("cocotbext.axi", reason="cocotbext-axi is not installed: install the development tools")
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    source = folder / "design.v"
    source.write_text(verilog)
    runner = get_runner("icarus")
    log = folder / "simulation.log"
    build = {"build_dir": folder, "timescale": ("1ns", "1ps"), "log_file": folder / "build.log"}
    runner.build(sources=[source], hdl_toplevel=top, always=True, **build)
    caller = Path(inspect.stack()[1].filename).parent
    paths = [str(caller), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    try:
        results = runner.test(
            test_module=module,
            hdl_toplevel=top,
            build_dir=folder,
            test_dir=folder,
            results_xml=str(folder / "results.xml"),
            seed=seed,
            testcase=testcase,
            timescale=("1ns", "1ps"),
            extra_env={"PYTHONPATH": os.pathsep.join(paths), "COCOTB_ANSI_OUTPUT": "0", **(environment or {})},
            log_file=log,
        )
    except (RuntimeError, SystemExit) as error:
        pytest.fail(f"the simulation ended abnormally ({error}):\n{_tail(log)}", pytrace=False)
    tests, failures = get_results(results)
    if failures or not tests:
        pytest.fail(f"{failures} of {tests} cocotb tests failed:\n{_tail(log)}", pytrace=False)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-60:]) if log.exists() else "(no output)"
