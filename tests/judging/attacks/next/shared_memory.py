from multiprocessing import shared_memory

shared_memory.SharedMemory("lamarck", create=True, size=1000)
