import ctypes

libc = ctypes.CDLL(None, use_errno=True)
print(libc.msgget(1234, 0o1666), libc.semget(1234, 1, 0o1666), libc.shmget(1234, 4096, 0o1666))
