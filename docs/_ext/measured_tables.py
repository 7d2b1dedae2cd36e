"""A directive that writes tables from what the benchmarks measured and keep in ``benchmarks/results``."""

from __future__ import annotations

import sys
from pathlib import Path

from docutils import nodes
from generated_tables import table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

ROOT = Path(__file__).parents[2]


class MlperfTable(SphinxDirective):
    """``mlperf-table``: ``summary``, which compares with what is published, or ``tools``, what the tools take."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The table."""
        sys.path.insert(0, str(ROOT))
        from benchmarks import mlperf_table
        from benchmarks.mlperf_models import MODELS
        from benchmarks.rows import RESULTS

        for model in MODELS:
            self.env.note_dependency(str(RESULTS / f"{model.results}.json"))
        made = {"summary": mlperf_table.summary, "tools": mlperf_table.tools}
        head, rows = made[self.arguments[0]]()
        return [table(tuple(head), [tuple(str(cell) for cell in row) for row in rows], code=False)]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive."""
    app.add_directive("mlperf-table", MlperfTable)
    return {"parallel_read_safe": True}
