"""Evidence that did not pass the router: replays of recorded requests, and imported records."""
