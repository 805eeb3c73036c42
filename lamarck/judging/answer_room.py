"""Runs in the answer's room, as a script: carries the answer out, and then what the examiner asks of it.

Here lie no expected value, no secret and no verdict: what the answer can reach and change here is its own room. To each
request, code with its inputs, goes back what the code's last expression comes to, as plain data, or the name of the
exception. Arguments: the answer's file, and whether it is a `module` or a `script` (whose name is then __main__).
"""

import ast
import builtins
import contextlib
import io
import socket
import sys
import types
from typing import Any

from plain_data import NotPlain, receive, send  # type: ignore[import-not-found]

CHANNEL = 3


def carry_out(path: str, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The names that the answer leaves, and how it ended."""
    module = types.ModuleType("__main__" if kind == "script" else "solution")
    module.__file__ = path
    sys.modules[module.__name__] = module
    output = io.StringIO()
    error = None
    try:
        with open(path, "rb") as file:
            code = compile(file.read(), path, "exec")
        with contextlib.redirect_stdout(output):
            exec(code, vars(module))
    except SystemExit as end:
        error = None if end.code in (0, None) and kind == "script" else "SystemExit"
    except BaseException as raised:
        error = type(raised).__name__
    names = dict(vars(module))
    if kind == "script":
        # A name of Python's own means what it always means.
        names = {name: value for name, value in names.items() if not hasattr(builtins, name)}
        names["printed"] = output.getvalue()
    if "torch" in sys.modules:
        names["torch"] = sys.modules["torch"]
    return names, {"error": error}


def result_of(code: str, names: dict[str, Any]) -> Any:
    """What the last expression of the code comes to; None where its last statement is none."""
    tree = ast.parse(code)
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr):
        exec(compile(tree, "<request>", "exec"), names)
        return None
    exec(compile(ast.Module(tree.body[:-1], []), "<request>", "exec"), names)
    return eval(compile(ast.Expression(last.value), "<request>", "eval"), names)


def main() -> None:
    names, ended = carry_out(*sys.argv[1:])
    with socket.socket(fileno=CHANNEL) as examiner:
        send(examiner, ended)
        while True:
            request = receive(examiner)
            names.update(request["inputs"])
            try:
                reply = {"value": result_of(request["code"], names)}
                send(examiner, reply)
            except NotPlain:
                send(examiner, {"error": "NotPlain"})
            except Exception as error:
                send(examiner, {"error": type(error).__name__})


if __name__ == "__main__":
    with contextlib.suppress(EOFError, OSError):
        main()
