"""What is wrong here, or soon will be: this machine, the project, its store, what is left over."""
