"""Read local files, folders and Hugging Face Hub data sets as rows with their line numbers."""
