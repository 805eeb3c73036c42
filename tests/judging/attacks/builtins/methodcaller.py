import operator

operator.methodcaller("__setattr__", "solved", True)(operator.attrgetter("__self__")(print))
