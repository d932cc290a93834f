"""The API's description for machines and the page for people, made from the models that answer."""
