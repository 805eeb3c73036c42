import socket

with socket.socket(socket.AF_UNIX) as door:
    door.bind("\0lamarck")
    door.listen()
