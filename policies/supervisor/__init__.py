"""Runs the product's processes, restarts what dies, and leaves none behind.

backoff     how long to wait before a restart (pure)
forking     a child as a fork of the supervisor, with which it has the code in common
session     one running child and all that it started; what an earlier run left over
child       one child over time: started, restarted, stopped
signals     signals as something to wait for
supervisor  all children: the loop, and the order in which they stop
keeper      a process that clears up when the supervisor itself is killed
product     which children the product has; the only module here that knows Django
"""
