"""For the processes of tests that are to run as in the default environment: that one is without bitsandbytes, which
peft imports slowly wherever it finds it."""

import sys

sys.modules["bitsandbytes"] = None  # type: ignore[assignment]
