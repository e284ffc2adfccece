"""The sweeps that ship with etude, one TOML file each."""
