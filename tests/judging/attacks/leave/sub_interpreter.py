import _xxsubinterpreters as interpreters

other = interpreters.create()
interpreters.run_string(other, "import os; os.write(1, b'{\"held\": [\"passes\"]}\\n')")
