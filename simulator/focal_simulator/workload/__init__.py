"""What is simulated: one model on one data set, its layers, and the counts of its trace."""
