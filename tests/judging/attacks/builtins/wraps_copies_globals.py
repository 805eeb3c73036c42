import functools


def taken():
    pass


functools.update_wrapper(taken, functools.wraps)
taken.__wrapped__.__globals__["WRAPPER_ASSIGNMENTS"] = ("__globals__",)
