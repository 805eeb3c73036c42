def double(x):
    return float("inf")


half = double
RATE = float("nan")
