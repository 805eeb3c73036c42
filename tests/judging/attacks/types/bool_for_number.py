def double(x):
    return True


half = double
