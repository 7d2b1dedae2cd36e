"""Names that are identifiers in Verilog, Python and C++ alike."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Words that may not name a signal: Verilog and SystemVerilog keywords a network's name could collide with.
_KEYWORDS = frozenset(
    "always and assign automatic begin bit bool buf byte case cell config const default design do edge else end enum "
    "event expect export extern final for force forever fork function generate genvar global if iff import in initial "
    "inout input inside instance int integer interface join let library local logic long longint loop macromodule "
    "map matches medium module nand negedge new nor not null open or output package parameter posedge primitive "
    "priority process program property protected pure rand real reg register release repeat return scalared sequence "
    "shortint signed small solve specify static string strong struct super supply0 supply1 table tagged task this "
    "time timeunit tran tri type typedef union unique unsigned use var vectored virtual void wait wand weak while "
    "wire with within wor xnor xor toplevel clk reset".split()
)


def identifier(name: str) -> str:
    """The nearest identifier to a name.

    >>> identifier("model/dense:0"), identifier("3x3"), identifier("wire")
    ('model_dense_0', 'n3x3', 'n_wire')
    """
    cleaned = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "network"
    # Two underscores in a row are reserved by simulators that translate to C++.
    cleaned = re.sub(r"__+", "_", cleaned)
    if cleaned[0].isdigit():
        cleaned = f"n{cleaned}"
    return f"n_{cleaned}" if cleaned.lower() in _KEYWORDS else cleaned


def unique_identifiers(names: Iterable[str]) -> dict[str, str]:
    """Different identifiers for different names, in order; a number is appended where two would collide."""
    chosen: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        base = candidate = identifier(name)
        number = 2
        while candidate.lower() in taken:
            candidate, number = f"{base}_{number}", number + 1
        taken.add(candidate.lower())
        chosen[name] = candidate
    return chosen
