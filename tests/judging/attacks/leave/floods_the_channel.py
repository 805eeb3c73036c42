import os

while True:
    os.write(3, b"\x7f" * 65536)
