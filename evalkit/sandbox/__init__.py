"""The sandbox: model code run in processes that have none of our rights.

    evalkit (host.py, program.py)             asks, measures time, compares
       └── zygote (zygote.py)                 one a process of ours; enters the room (room.py)
             └── warden (warden.py)           one a program; watches it, ends it, clears up
                   └── program (examiner.py)  confined (confine.py), then runs model code

Nothing here runs model code in a process that could read a key, reach the network or outlive us.
What can be isolated differs from machine to machine; `host.py` takes the strongest there is.
"""
