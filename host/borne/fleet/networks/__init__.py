"""Registration of nodes with network servers and brokers: one seam (plan.py), a back end for each kind of server."""
