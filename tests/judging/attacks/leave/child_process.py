import os

if os.fork() == 0:
    os.setsid()
    while True:
        try:
            os.write(3, b"\x00" * 8)
        except OSError:
            os._exit(0)
