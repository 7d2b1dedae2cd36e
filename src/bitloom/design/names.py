"""Names that Verilog and SystemVerilog take as they are, and that no two signals of a design share."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Reserved words: IEEE 1800-2017, annex B, and what a top module or a simulator gives a meaning of its own.
_KEYWORDS = frozenset(
    "accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before begin bind "
    "bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle checker class clocking cmos config "
    "const constraint context continue cover covergroup coverpoint cross deassign default defparam design disable dist "
    "do edge else end endcase endchecker endclass endclocking endconfig endfunction endgenerate endgroup endinterface "
    "endmodule endpackage endprimitive endprogram endproperty endsequence endspecify endtable endtask enum event "
    "eventually expect export extends extern final first_match for force foreach forever fork forkjoin function "
    "generate genvar global highz0 highz1 if iff ifnone ignore_bins illegal_bins implements implies import incdir "
    "include initial inout input inside instance int integer interconnect interface intersect join join_any join_none "
    "large let liblist library local localparam logic long longint macromodule map matches medium modport module nand "
    "negedge nettype new nexttime nmos nor noshowcancelled not notif0 notif1 null open or output package packed "
    "parameter pmos posedge primitive priority process program property protected pull0 pull1 pulldown pullup "
    "pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real realtime ref reg register "
    "reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1 s_always s_eventually s_nexttime "
    "s_until s_until_with scalared sequence shortint shortreal showcancelled signed small soft solve specify specparam "
    "static string strong strong0 strong1 struct super supply0 supply1 sync_accept_on sync_reject_on table tagged task "
    "this throughout time timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef "
    "union unique unique0 unsigned until until_with untyped use uwire var vectored virtual void wait wait_order wand "
    "weak weak0 weak1 while wildcard wire with within wor xnor xor toplevel clk reset".split()
)

# How the design's own signals begin (ports, registers of the bus, counters), and PyRTL's numbered ones.
_OWN_SIGNALS = re.compile(
    r"(s_axis|m_axis|s_axi|csr|bus|core|input|result|last|inferences?|latency|interval|seen|const|tmp)\d*(_|$)|tmp\d"
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
    """Identifiers for the signals of each name to begin with, followed by an underscore and a word.

    No two signals that begin so can be the same, and none can be one of the design's own. An identifier is therefore
    none of the others, in any case of letters, and does not go on after another with an underscore and a letter.
    Where it would, a number is put in front.

    >>> list(unique_identifiers(["dense", "dense_1", "Dense", "dense_output", "m_axis"]).values())
    ['dense', 'dense_1', 'n2_Dense', 'n3_dense_output', 'n2_m_axis']
    """
    chosen: dict[str, str] = {}
    for name in names:
        base = candidate = identifier(name)
        number = 2
        while _OWN_SIGNALS.match(candidate.lower()) or any(_may_meet(candidate, other) for other in chosen.values()):
            candidate, number = f"n{number}_{base}", number + 1
        chosen[name] = candidate
    return chosen


def _may_meet(one: str, other: str) -> bool:
    """Whether signals that begin with the two, an underscore and a word can be the same."""
    shorter, longer = sorted((one.lower(), other.lower()), key=len)
    # Circuits follow their name with a word, never with a number.
    return longer == shorter or re.match(rf"{re.escape(shorter)}_\D", longer) is not None
