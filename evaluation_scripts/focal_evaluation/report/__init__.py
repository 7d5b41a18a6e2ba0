"""One self-contained HTML page, and a PDF, from result folders."""
