import warnings

print("{0.sys.modules}".format(warnings))
