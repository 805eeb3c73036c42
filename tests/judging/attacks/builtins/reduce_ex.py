import copyreg

kind, arguments = (1).__reduce_ex__(2)[:2]
kind.__globals__["copyreg"] = copyreg
kind.__globals__.get("__builtins__")
