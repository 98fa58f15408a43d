"""What every other package may use: errors, files, run folders, progress, seeds and processes. Imports no package."""
