"""How the documentation is built; see `make docs`."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "bitloom"
version = release = installed_version("bitloom")
author = "the bitloom authors"
copyright = f"{author}, Apache License 2.0"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.doctest",
    "plain_docstrings",
    "generated_tables",
    "measured_tables",
    "report_pictures",
    "api_pages",
    "command_pages",
]
exclude_patterns = ["_build", "_ext", "generated/commands.md"]

html_theme = "furo"
html_title = f"bitloom {release}"
html_static_path: list[str] = []
html_copy_source = False

myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 3
default_role = "py:obj"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
# Each name is described once, in the module that defines it, whatever others offer it.
autodoc_default_options = {"members": True, "ignore-module-all": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# A dataclass's fields are listed once, in its own description.
napoleon_use_ivar = True
napoleon_attr_annotations = False
# Signatures have the types; what stands in front of a colon behind "Returns" is prose.
napoleon_use_rtype = False
napoleon_custom_sections = [("Class attributes", "params_style")]

# Examples in docstrings are run by pytest; those in pages by `sphinx -b doctest`.
doctest_test_doctest_blocks = ""
doctest_default_flags = 0
doctest_path = [str(Path(__file__).parent / "examples")]
