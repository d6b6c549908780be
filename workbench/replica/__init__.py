"""What runs inside a replica.

Everything here is shipped with the code by value: a replica needs Ray, not workbench. So nothing
here may import another part of the package, and nothing may rely on state at module level.
"""
