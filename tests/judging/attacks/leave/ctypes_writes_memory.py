import ctypes

ctypes.memset(id(0), 1, 8)
