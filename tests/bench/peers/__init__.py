"""The same services by workbench and by its peers, under the same load."""
