/**
 * What the tests of cachelib assert, the library behind Flask-Caching's backends: a
 * line for each, in our words, by the module it is in. `test_dynamodb_cache.py`,
 * `test_mongodb_cache.py` and `test_uwsgi_cache.py` have none of their own: the shared
 * modules run there, as our conformance suite does over uWSGI.
 */

/** `common.py`, which runs over every backend. */
export const common = {
  set_get: "values of ten kinds come back, nested ones too",
  set_get_many: "many are stored, and come in the order of their keys",
  get_dict: "a record of what was stored is equal to it",
  delete: "a deletion answers true, and then it is a miss",
  delete_many: "many are deleted, and all are gone",
  delete_many_ignore_errors: "a first key that is not there does not stop the others",
  add: "what is there is never overwritten, what is not is added",
  inc_dec: "a counter begins with what is added or taken, goes on, and takes 5,000,000,000,000",
  inc_dec_after_set: "10, and 5, less 3, is 12",
  bool_roundtrip: "true and false come back exactly",
  expiration: "what has no end survives, what has a second is gone after four"
} as const

/** `clear.py` */
export const clear = { clear: "everything is gone" } as const

/** `has.py` */
export const has = { has: "true for all that is stored, falsy values too; false for what is not" } as const

/** `delete_many_with_prefix.py` */
export const deleteManyWithPrefix = {
  delete_many_with_prefix: "under a prefix, many are deleted by the keys that the program knows"
} as const

/** `serializer.py` */
export const serializer = {
  serializer_injection_roundtrip: "a codec of one's own is used by set and get",
  serializer_injection_set_many: "by setting many and getting many",
  serializer_is_stored_on_instance: "it is kept on the backend",
  serializer_injection_add: "by add",
  serializer_injection_get_dict: "by getting a record",
  no_serializer_uses_default: "where none is given bytes come back by that of the schema"
} as const

/** `test_base_cache.py` */
export const baseCache = {
  get: "a get is a miss",
  delete: "there was nothing to delete",
  get_many: "many are misses",
  get_dict: "a record of misses",
  set: "a set is done",
  add: "an addition is always the first",
  set_many: "many are set",
  delete_many: "of many there was none",
  clear: "a clear is done",
  inc: "counting up from nothing is what is added",
  dec: "counting down from nothing is what is taken",
  has: "has is false",
  normalize_timeout: "no time is the default, and zero stays zero"
} as const

/** `test_file_system_cache.py` */
export const fileSystemCache = {
  EOFError: "a truncated file is a miss, and is replaced",
  threshold: "of more entries than fit as many stay as may",
  file_counting: "the number of entries is right, and a clear makes it zero",
  file_counting_on_override: "what is overwritten is not counted twice",
  prune_old_entries: "what has expired goes before what lives",
  run_safely_succeeds_on_first_try: "what works is tried once",
  run_safely_retries_on_permission_error: "what is not permitted is tried again, with waits between",
  run_safely_exhausts_retries_and_returns_none: "it is given up after ten seconds",
  run_safely_does_not_retry_other_errors: "another error is told at once",
  run_safely_exponential_backoff: "each wait is twice the last",
  mgmt_element_set_not_counted: "the counter is not counted",
  mgmt_element_delete_not_counted: "nor is its deletion",
  has_on_expired_key_returns_false: "has is false for what has expired"
} as const

/** `test_interface_uniformity.py` */
export const interfaceUniformity = { types_have_all_base_methods: "every backend has every operation" } as const

/** `test_memcached_cache.py` */
export const memcachedCache = {
  bool_roundtrip: "true and false come back as numbers",
  pool_enforces_capacity_and_blocking_waits_for_release: "a pool of clients waits for one to be free",
  non_blocking_pool_raises_when_exhausted: "a pool that does not wait fails"
} as const

/** `test_redis_cache.py` */
export const redisCache = { callable_key: "a function given as a key is printed" } as const

/** `test_valkey_cache.py` */
export const valkeyCache = redisCache

/** `test_serializers.py`. The class is in front of the name. */
export const serializers = {
  base_dumps_loads_roundtrip: "values of fifteen kinds come back",
  base_dump_load_roundtrip: "they come back through a stream",
  base_dumps_returns_none_on_pickle_error: "what cannot be encoded is an error, and is not stored",
  base_loads_returns_none_on_corrupt_data: "corrupt bytes are a miss",
  base_load_returns_none_on_corrupt_stream: "a corrupt stream is a miss",
  redis_dumps_loads_roundtrip: "values come back from Redis",
  redis_dumps_adds_bang_prefix: "what is stored begins with a mark",
  redis_loads_none_returns_none: "what is not there is a miss",
  redis_loads_integer_string_returns_int: "a counter is read by get",
  redis_loads_legacy_bytes_returns_raw: "bytes without the mark are a miss",
  redis_loads_corrupt_prefixed_data_returns_none: "corrupt bytes behind the mark are a miss",
  compatible_roundtrip: "all that speak the protocol of Redis store alike",
  json_dumps_loads_roundtrip: "values of JSON come back",
  json_dump_load_roundtrip: "values of JSON come back through a stream",
  json_dumps_returns_bytes: "what is encoded is bytes",
  json_dump_writes_bytes_to_stream: "bytes are written to a stream",
  json_dumps_non_serializable_returns_none: "what JSON cannot say is an error, and is not stored",
  json_loads_accepts_bytes_str_bytearray: "text and arrays of bytes are read as well",
  json_loads_invalid_json_returns_none: "what is no JSON is a miss",
  json_load_invalid_stream_returns_none: "a stream of what is no JSON is a miss"
} as const

/** `test_simple_cache.py` */
export const simpleCache = {
  threshold: "of more entries than fit as many stay as may",
  prune_old_entries: "what has expired goes first",
  threshold_zero_defaults_to_500: "a threshold of zero means 500",
  add_on_expired_key_succeeds: "what has expired can be added",
  has_on_expired_key_returns_false: "has is false for what has expired",
  delete_nonexistent_returns_false: "a deletion of what is not there answers false",
  concurrent_set_no_data_corruption: "of 500 keys set by ten at once all are there",
  concurrent_inc_is_consistent: "of 1,000 increments at once none is lost",
  concurrent_add_only_one_winner: "of 20 additions at once one wins",
  concurrent_get_set_preserves_valid_shared_values: "who reads while others write sees only what was written"
} as const
