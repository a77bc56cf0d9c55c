"""The counted process by the name that every version of edgewright asks a board for."""

from edgewright.runtimes._measuring.counted import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
