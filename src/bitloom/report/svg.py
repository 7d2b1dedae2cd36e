"""Scalable pictures as text: the few shapes that reports draw."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from bitloom.report.tables import printable


def text(x: float, y: float, content: str, *, style: str = "", anchor: str = "start") -> str:
    """One line of words."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{_class(style)}>{escape(printable(content))}</text>'


def rectangle(
    x: float, y: float, width: float, height: float, *, style: str, title: str = "", round_by: float = 2
) -> str:
    """A box; pointing at it shows the title."""
    inner = f"<title>{escape(printable(title))}</title>" if title else ""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{max(width, 0):.2f}" height="{height:g}" rx="{round_by:g}"{_class(style)}>'
        f"{inner}</rect>"
    )


def line(x1: float, y1: float, x2: float, y2: float, *, style: str) -> str:
    """A straight line."""
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"{_class(style)}/>'


def curve(points: str, *, style: str) -> str:
    """A path in SVG's own words."""
    return f'<path d="{points}" fill="none"{_class(style)}/>'


def picture(width: float, height: float, shapes: Iterable[str], *, label: str) -> str:
    """Shapes in a frame that scales with the page."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'aria-label="{escape(label)}" xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(shapes) + "\n</svg>"
    )


def _class(style: str) -> str:
    return f' class="{style}"' if style else ""
