def double(x):
    return {(2**61 - 1) * n: n for n in range(300)}


half = double
