"""Training the two small models that ship with Focal, and the check that says whether they may ship."""
