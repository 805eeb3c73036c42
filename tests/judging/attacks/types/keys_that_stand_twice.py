import os
import struct


def say(body):
    os.write(3, struct.pack("<Q", len(body)) + body)


say(b'{"dict": [["error", null]]}')
for number in range(200):
    say(
        b'{"dict": [["value", 3], ["value", %d]]}' % number
        if number % 2
        else b'{"tensor": [], "dict": [["value", 6.0]]}'
    )
os._exit(0)
