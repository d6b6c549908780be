"""One outside thing each: Ray, HTTP, SQLite, models, the file system."""
