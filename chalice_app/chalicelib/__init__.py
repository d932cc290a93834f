"""The functions and models that the routes of the lookup API use."""
