"""A store that was copied in one of the ways there are."""

from freehold.store.backup import backup, restore


def copied(store, url, folder, how):
    """The address of the copy, `copy.sqlite` in the folder; of the store itself where the copy was restored there."""
    copy = folder / "copy.sqlite"
    backup(url, copy)
    if how != "restored":
        return f"sqlite:///{copy}"
    store.close()
    restore(url, copy, folder / "kept.sqlite")
    return url
