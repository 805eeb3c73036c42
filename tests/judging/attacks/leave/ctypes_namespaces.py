import ctypes

libc = ctypes.CDLL(None)
for flags in (0x10000000, 0x20000, 0x40000000):
    print(libc.unshare(flags))
libc.ptrace(16, 1, 0, 0)
libc.setns(3, 0)
