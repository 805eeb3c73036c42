def outer():
    def inner():
        return outer

    return inner


cell = outer().__closure__[0]
cell.cell_contents = print
