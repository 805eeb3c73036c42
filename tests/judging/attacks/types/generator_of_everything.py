def double(x):
    return (True for _ in iter(int, 1))


half = double
