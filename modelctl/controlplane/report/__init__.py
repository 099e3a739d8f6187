"""What people read: the content of reports and of `status`, and its Markdown. Pure: stored sums come in as values."""
