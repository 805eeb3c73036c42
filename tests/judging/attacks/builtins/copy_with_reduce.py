import copy


class Bomb:
    def __reduce_ex__(self, protocol):
        return exec, ("print('{\"held\": [\"passes\"]}')",)


copy.copy(Bomb())
