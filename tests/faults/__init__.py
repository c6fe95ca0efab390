"""Faults that are really made: processes killed, disks filled, databases and resolvers gone."""
