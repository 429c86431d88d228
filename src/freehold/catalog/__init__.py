"""Facts as data files, each with source and date: models, licences, releases, accelerators, publishers."""
