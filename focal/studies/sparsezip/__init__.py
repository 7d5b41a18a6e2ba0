"""The SparseZip study: what token selection before and inside the decoder costs and keeps, at equal budgets."""
