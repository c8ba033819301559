"""What signoff costs, each figure beside what this machine can do at all: `python -m bench`, or `make bench`."""
