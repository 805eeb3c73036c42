ring = {}
ring["ring"] = ring


def double(x):
    return ring


half = double
