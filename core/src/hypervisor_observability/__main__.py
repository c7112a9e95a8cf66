"""``python -m hypervisor_observability``: the command ``hvobs``, where it is not on the path."""

from .cli.main import main

if __name__ == "__main__":
    main()
