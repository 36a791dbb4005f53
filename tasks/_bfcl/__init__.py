"""The Berkeley Function Calling Leaderboard's rules: how a call is asked for, read and checked.

Written from its paper, its data and its documentation; the oddities of its official checker are
kept, and each is marked where it is, because scores are made of them.
"""
