"""From a request to rows, tables, figures and files."""
