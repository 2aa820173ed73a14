"""Words in every response of TMDB's (source: the examples of its OpenAPI description; a test compares)."""

from __future__ import annotations

_MEMBERS = """
action air_date also_known_as aspect_ratio author author_details avatar_path backdrop backdrop_path backdrop_sizes
backdrops base_url belongs_to_collection biography birthday budget cast_id certification certifications change_keys
changes character content created_at created_by credit_id credit_type deathday department description descriptors
display_priorities display_priority english_name episode_count episode_id episode_number episode_run_time episode_type
episodes facebook_id favorite_count file_path file_type first_air_date flatrate freebase_id freebase_mid gender
genre_ids genres group_count groups guest_stars headquarters height homepage image_type images imdb_id in_production
instagram_id iso_3166_1 iso_639_1 item_count keywords known_for known_for_department languages last_air_date
last_episode_to_air list_type locked logo_path logo_sizes maximum meaning media_id media_title media_type minimum
movie_results native_name network networks next_episode_to_air number_of_episodes number_of_seasons official
origin_country original_language original_name original_title original_value overview parent_company person
person_results place_of_birth popularity poster poster_path poster_sizes posters production_code production_companies
production_countries profile_path profile_sizes profiles provider_id provider_name published_at rating release_date
release_dates results revenue runtime season_number seasons secure_base_url show_id spoken_languages status still_path
still_sizes stills tagline tiktok_id titles total_episode_count total_pages total_results translations
tv_episode_results tv_results tv_season_results tvdb_id tvrage_id twitter_id updated_at username vote_average
vote_count wikidata_id youtube_id
"""
MEMBERS = frozenset(_MEMBERS.split())
"""Member names of six characters or more."""

_HEADERS = "application/json;charset=utf-8 cache-control connection content-length keep-alive max-age public"
_TEXT = "\n".join([*_MEMBERS.split(), *_HEADERS.split()])


def is_public(value: str) -> bool:
    """Return whether a value is part of such a word: then finding it in a response says nothing about a leak."""
    return value.lower() in _TEXT
