"""Formulas as MathML, made when the page is built: nothing to download, no script to run.

Docutils brings the converter. A formula it cannot read is a warning, and so an error of the build.
"""

import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)


def render(node: nodes.Element, *, block: bool) -> str:
    """The formula of a node as MathML; its TeX, shown as text, where it cannot be read."""
    tex = node.astext().strip()
    try:
        text = tex2mathml(tex, as_block=block)
        text = text.replace("&ApplyFunction;", "⁡")
        text = text.replace("<mo>'</mo>", "<mo>′</mo>")
        text = text.replace('<mo stretchy="false">|</mo>', '<mo stretchy="false" lspace="0" rspace="0">|</mo>')
        return re.sub(r"<mo>⁡</mo>(?!\s*<mo[^>]*>\()", r'\g<0><mspace width="0.17em"></mspace>', text)  # log x, log(x)
    except MathError as error:
        logger.warning("this formula cannot be shown: %s (%s)", tex, error, location=node)
        return f"<code>{nodes.Text(tex).astext()}</code>"


def inline(self, node: nodes.math) -> None:
    """A formula within a sentence."""
    siblings = node.parent.children
    after = siblings[siblings.index(node) + 1 :][:1]
    joined = after and after[0].astext().startswith(tuple(".,;:)!?"))
    self.body.append(render(node, block=False) + ("\N{WORD JOINER}" if joined else ""))  # no line begins with a comma
    raise nodes.SkipNode


def display(self, node: nodes.math_block) -> None:
    """A formula on lines of its own; a wide one is scrolled by itself, not the page with it."""
    anchor = f' id="{node["ids"][0]}"' if node["ids"] else ""
    number = f'<span class="eqno">({node["number"]})</span>' if node.get("number") else ""
    self.body.append(f'<div class="math-block" tabindex="0"{anchor}>{render(node, block=True)}{number}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Make this the renderer of formulas."""
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
