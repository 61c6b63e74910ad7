"""`fallline cache`: the programs compiled so far."""

import click


@click.command(short_help="Show or empty the folder of compiled programs.")
@click.option("--clear", is_flag=True, help="Remove all programs.")
def cache(clear: bool) -> int:
    """Show where compiled programs are kept, so that the next training starts at once, and what they take.

    The environment variable FALLLINE_CACHE names another folder, or is off; FALLLINE_CACHE_LIMIT is the most that
    the folder may take, in MB (256 by default): the programs not used for the longest time go first.
    """
    from fallline.cli import show
    from fallline.engine import object_cache

    found = object_cache.from_environment()
    if found is None:
        click.echo(f"compiled programs are not kept: the environment variable {object_cache.FOLDER} is off")
        return 0
    if clear:
        number, size = found.clear()
        click.echo(f"removed {show.count(number, 'program')} ({show.size(size)}) from {found.folder}")
        return 0
    entries = found.entries()
    rows = [
        ("folder", str(found.folder)),
        ("programs", f"{len(entries):,}"),
        ("size", show.size(sum(entry.size for entry in entries))),
        ("limit", show.size(found.limit)),
    ]
    reason = found.distrust()
    if reason is not None:
        rows.append(("note", f"the folder {reason}, so nothing in it is used"))
    if entries:
        rows.append(("to empty", show.command("cache", "--clear")))
    show.print_listing(show.console(), rows)
    return 0
