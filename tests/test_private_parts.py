"""Only one package uses private parts of Lightning."""

import ast
from collections.abc import Iterator
from pathlib import Path

import limner

ROOT = Path(limner.__file__).parent
ALLOWED = ROOT / "models" / "lightning_internals"
OWNERS = {
    "trainer", "strategy", "fit_loop", "epoch_loop", "val_loop", "connector", "launcher",
    "lightning_module",
}  # fmt: skip
"""Names of variables and attributes that hold objects of Lightning."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("_")  # __init__, and Hydra's _target_


def private_parts(code: str) -> Iterator[str]:
    """Return the private parts of Lightning that a module imports, or reads as attributes."""
    tree = ast.parse(code)
    bases = {"lightning", "L"} | {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lightning")
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lightning"):
            names = [*node.module.split("."), *(alias.name for alias in node.names)]
            yield from (name for name in names if is_private(name))
        elif isinstance(node, ast.Import):
            parts = [p for a in node.names if a.name.startswith("lightning") for p in
                     a.name.split(".")]  # fmt: skip
            yield from (part for part in parts if is_private(part))
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            chain = set(ast.unparse(node.value).replace("()", "").split("."))
            if chain & (OWNERS | bases) and not chain <= {"self", "cls"}:
                yield ast.unparse(node)
        elif isinstance(node, ast.ClassDef) and _is_of_lightning(node, bases):
            yield from _inherited(node)


def _is_of_lightning(node: ast.ClassDef, bases: set[str]) -> bool:
    return any(ast.unparse(base).split(".")[0] in bases for base in node.bases)


def _inherited(node: ast.ClassDef) -> Iterator[str]:
    """Return private attributes that a class reads from itself, and neither sets nor defines."""
    found, own = set(), set()
    for each in ast.walk(node):
        if isinstance(each, ast.FunctionDef):
            own.add(each.name)
        elif isinstance(each, ast.Attribute) and ast.unparse(each.value) in ("self", "super()"):
            (own if isinstance(each.ctx, ast.Store) else found).add(each.attr)
        elif isinstance(each, ast.AnnAssign | ast.Assign):
            targets = [each.target] if isinstance(each, ast.AnnAssign) else each.targets
            own |= {target.id for target in targets if isinstance(target, ast.Name)}
    yield from (f"self.{name}" for name in sorted(found - own) if is_private(name))


def test_private_parts_of_lightning_are_used_in_one_package_only():
    found = {
        str(path.relative_to(ROOT)): parts
        for path in ROOT.rglob("*.py")
        if ALLOWED not in path.parents and (parts := list(private_parts(path.read_text())))
    }
    assert found == {}


def test_private_parts_finds_imports_attributes_and_inherited_attributes():
    code = (
        "import lightning as L\n"
        "from lightning.pytorch.loops.fit_loop import _FitLoop\n"
        "def f(trainer): trainer._launcher, trainer.strategy._x, trainer.public\n"
        "class Mine(L.Callback):\n"
        "    def g(self): self._own = self._foreign; self._h()\n"
        "    def _h(self): ...\n"
    )
    assert set(private_parts(code)) == {
        "_FitLoop", "trainer._launcher", "trainer.strategy._x", "self._foreign",
    }  # fmt: skip


def test_private_parts_are_found_in_the_package_that_uses_them():
    assert all(
        list(private_parts((ALLOWED / name).read_text()))
        for name in ("fit_loop.py", "epoch_loop.py", "gradient_accumulation.py", "launcher.py")
    )
