"""The verb `check`: what the judge's sandbox can do on this machine, and whether a run is whole."""
