"""Pure decisions and values: no clock, thread, socket or Ray."""
