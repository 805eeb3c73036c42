import threading
import time


def stay():
    while True:
        time.sleep(0.01)


for _ in range(1000):
    try:
        threading.Thread(target=stay).start()
    except RuntimeError:
        break
