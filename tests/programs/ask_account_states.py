"""tmdbapis asks for account_states with every movie, whether somebody is logged in or not."""

from tmdbapis import TMDbAPIs

print(TMDbAPIs("fedcba9876543210fedcba9876543210", language="en-US").movie(550).name)
