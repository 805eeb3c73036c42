import json
import os
import struct

for value in ([["error", None]], [["error", "SystemExit"]], [["error", "KeyboardInterrupt"]], [["error", "GeneratorExit"]]):
    body = json.dumps({"dict": value}).encode()
    os.write(3, struct.pack("<Q", len(body)) + body)
os._exit(0)
