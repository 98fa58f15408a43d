"""Read files, folders and Hub data sets into rows that know their place in the file."""
