"""The doors through which the content of files comes in: one guarded reader for each kind of file.

Every reader takes regular files only, bounds what it reads before memory is taken for it, and turns whatever the parser
raises into one sentence.
"""
