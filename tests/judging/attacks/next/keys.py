import ctypes

libc = ctypes.CDLL(None, use_errno=True)
print(libc.syscall(248, b"user", b"lamarck", b"x", 1, -3), libc.syscall(250, 0, -3, 1))
