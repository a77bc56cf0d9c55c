"""The measuring process by the name that every version of edgewright asks a board for."""

from edgewright.runtimes._measuring.worker import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
