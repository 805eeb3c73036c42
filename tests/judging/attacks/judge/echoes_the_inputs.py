import json
import os
import struct

header = {"dict": [["error", None]]}
body = json.dumps(header).encode()
os.write(3, struct.pack("<Q", len(body)) + body)
while True:
    length = struct.unpack("<Q", os.read(3, 8))[0]
    asked = json.loads(os.read(3, length))
    inputs = dict(asked["dict"])["inputs"]["dict"]
    body = json.dumps({"dict": [["value", inputs[0][1] if inputs else None]]}).encode()
    os.write(3, struct.pack("<Q", len(body)) + body)
