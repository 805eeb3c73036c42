import socket

door = socket.socket()
door.bind(("127.0.0.1", 4321))
door.listen()
