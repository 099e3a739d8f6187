"""What people read: the content of reports and of `status`, as a page and as Markdown.

Pure but for `gathering`, `status`, `backlog` and `endings`, which read."""
