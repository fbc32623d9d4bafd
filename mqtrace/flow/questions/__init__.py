"""The questions, one a file: a body of SQL over a dialect, and the rows that it becomes."""
