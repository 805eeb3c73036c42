import json
import os
import struct

body = json.dumps({"dict": [["error", None]]}).encode()
os.write(3, struct.pack("<Q", len(body)) + body)
while True:
    length = struct.unpack("<Q", os.read(3, 8))[0]
    os.read(3, length)
    os.write(3, struct.pack("<Q", 1) + b"?")
