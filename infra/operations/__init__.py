"""Operating a deployed stack, on AWS or on an emulator: whichever the environment points to."""
