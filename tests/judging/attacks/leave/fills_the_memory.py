held = []
while True:
    held.append(bytearray(2**26))
