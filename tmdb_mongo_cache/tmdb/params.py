"""The params of TMDB's endpoints other than credentials (source: its OpenAPI description; a test compares)."""

from __future__ import annotations

_NAMES = """
append_to_response certification certification.gte certification.lte certification_country confirm country
external_source include_adult include_image_language include_null_first_air_dates include_video
include_video_language language movie_id page query region screened_theatrically sort_by timezone watch_region
air_date.gte air_date.lte end_date first_air_date.gte first_air_date.lte first_air_date_year
primary_release_date.gte primary_release_date.lte primary_release_year release_date.gte release_date.lte
start_date vote_average.gte vote_average.lte vote_count.gte vote_count.lte with_runtime.gte with_runtime.lte year
with_cast with_companies with_crew with_genres with_keywords with_networks with_origin_country
with_original_language with_people with_release_type with_status with_type with_watch_monetization_types
with_watch_providers without_companies without_genres without_keywords without_watch_providers
"""
DOCUMENTED = frozenset(_NAMES.split())
