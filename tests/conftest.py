"""One thread a process: two processes of two threads on two cores are ten times slower than one after the other."""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
