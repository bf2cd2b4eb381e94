"""`python train.py model=vae data=digits`: see README.md, or `python train.py --help`."""

from limner.cli import main

if __name__ == "__main__":
    main()
