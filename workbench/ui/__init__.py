"""What a cell shows. Nothing here holds state of its own or asks the cluster anything."""
