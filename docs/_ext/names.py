"""Names in docstrings: a link where single backticks name something of the package, and code otherwise; signatures."""

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def link_or_code(app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.Element) -> nodes.Node | None:
    """Find what a name that was not found as it stands may mean: the one object of the package whose name ends so."""
    if node.get("refdomain") != "py" or node.get("reftype") != "obj":
        return None
    domain = env.domains["py"]
    ending = f".{node['reftarget']}"
    found = {name for name, entry in domain.objects.items() if name.endswith(ending) and not entry.aliased}
    if len(found) != 1:
        return text
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", found.pop(), node, text)


def without_no_value(
    app: Sphinx, what: str, name: str, thing: object, options: object, signature: str | None, result: str | None
) -> tuple[str, str | None] | None:
    """Write ``...`` for what NumPy has for an argument that is not given."""
    return (signature.replace("<no value>", "..."), result) if signature else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Take part in resolving names, and in writing signatures."""
    app.connect("missing-reference", link_or_code)
    app.connect("autodoc-process-signature", without_no_value)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
