def double(x):
    return 10**4000


half = lambda x: 1 << 400000
