import functools

hollow = functools.partial(print)
hollow.__setstate__((exec, ("print('{\"held\": [\"passes\"]}')",), {}, {}))
hollow()
