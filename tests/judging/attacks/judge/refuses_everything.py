def double(x):
    raise ValueError(x)


half = double
