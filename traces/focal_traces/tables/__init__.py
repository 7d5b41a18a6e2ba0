"""Tables of a trace root: one row for each model and dataset, read strictly and written from many processes."""
