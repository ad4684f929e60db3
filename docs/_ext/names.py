"""Single backticks in docstrings: a link where they name something of the package, and code otherwise."""

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


def setup(app: Sphinx) -> dict[str, bool]:
    """Take part in resolving names."""
    app.connect("missing-reference", link_or_code)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
