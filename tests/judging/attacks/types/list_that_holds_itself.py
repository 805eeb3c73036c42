ring = []
ring.append(ring)


def double(x):
    return ring


half = double
