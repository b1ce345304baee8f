"""``python -m otklik.serving`` is the command ``otklik``."""

from otklik.serving.cli import main

if __name__ == "__main__":
    main()
