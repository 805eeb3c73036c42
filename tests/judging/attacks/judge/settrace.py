import sys


def trace(frame, event, argument):
    frame.f_trace_opcodes = True
    if "code" in frame.f_locals:
        frame.f_locals["code"] = "True"
    return trace


sys.settrace(trace)
