/**
 * What the tests of Flask-Caching assert: a line for each of them, in our words, by
 * the module it is in. `test/flask/<module>.test.ts` tells of every line.
 */

/** `test_backend_cache.py`. Several classes have a test of one name: the class is in front of it then. */
export const backendCache = {
  generic_get_dict: "many are got as a record of the keys that are stored",
  generic_set_get: "0, 1 and 4 come back",
  generic_get_set: "a list comes back",
  generic_get_many: "many come in the order of their keys, whatever their types",
  generic_set_many: "many are stored at once",
  generic_add: "an addition stores once; a second one answers false and changes nothing",
  generic_delete: "a deletion answers true, and what was there is a miss",
  generic_delete_many: "of two keys deleted at once both are gone",
  generic_inc_dec: "counting up and down answers the new number, and so does a read",
  generic_true_false: "true and false come back as they are, and not as numbers",
  generic_timeout: "what has no end survives, and what has a second is gone after three",
  generic_has: "has is false, true and false around a set and a deletion",
  generic_get_bytes: "bytes come back",
  simple_purge: "never above its capacity",
  simple_deprecated_ignore_errors: "an old name of an option warns",
  simple_ignore_delete_many_errors: "an option is kept",
  file_deprecated_ignore_errors: "an old name of an option warns",
  file_ignore_delete_many_errors: "an option is kept",
  redis_compat: "what others wrote, text or a number, is a miss, no error, and is replaced",
  redis_empty_host: "no host is refused",
  redis_client_override_reflected_on_cachelib_methods: "reads go to one client and writes to another",
  memcached_compat: "what is set is got",
  memcached_huge_timeouts: "a time of more than 30 days works",
  memcached_timeouts: "has is false after the second that an entry lives",
  null_has: "has is false"
} as const

/** `test_basic_app.py` */
export const basicApp = {
  dict_config: "the configuration that a cache is made with counts",
  dict_config_initapp: "the configuration that is given later chooses the backend",
  dict_config_both: "of two configurations the later one wins",
  init_app_sets_app_attribute: "the app is an attribute of the cache",
  init_app_multi_apps: "one cache in two apps with two prefixes is two stores",
  app_redis_cache_backend_url_default_db: "a url without a database means number 0",
  app_redis_cache_backend_url_custom_db: "a url with /2 means database 2",
  app_redis_cache_backend_url_explicit_db_arg: "a url without one, and the number 1 beside it, mean database 1",
  app_custom_cache_backend: "a backend of the program's own is chosen by its name",
  subclassed_cache_class: "a subclass of the cache can be made"
} as const

/** `test_init.py` */
export const init = {
  init_nullcache: "each type is made of its configuration, no server needed",
  cached_response_init_is_typed: "the time that a response asks for has a type",
  cached_response_construction_with_flask_response: "a response that asks for 10 seconds keeps its body and its status"
} as const

/** `test_cache.py` */
export const cache = {
  cache_set: "what is set is got",
  cache_has: "what was added is there",
  cache_add: "a second addition does not overwrite",
  cache_delete: "what was deleted is gone",
  cache_delete_many: "a key that is not there does not stop the deletion of others",
  cache_unlink: "Redis is asked to unlink, one key and many",
  cache_unlink_if_not: "a store that cannot unlink deletes",
  cache_delete_many_ignored: "a key that is not there is an error in no configuration",
  cache_cached_function: "a function is cached for a second, and then computed anew",
  cache_cached_function_with_source_check_enabled: "changed source is another key; the source restored, the old value",
  cache_cached_function_with_source_check_disabled: "changed source, no version: the same value",
  cache_accepts_multiple_ciphers: "any hash works",
  cached_none: "absence is cached",
  cached_doesnt_cache_none: "absence is not cached where the program says so",
  cache_forced_update: "a flag computes anew, and the flag taken back keeps what it computed",
  cache_forced_update_params: "the flag is asked once a call, with its arguments; the third call is forced",
  cache_is_stale: "staleness is asked for on a hit only, and computes anew",
  cache_is_stale_params: "staleness is asked for with the value and the arguments",
  cache_is_stale_not_called_on_forced_update: "staleness is not asked for where the call is forced",
  generator: "what a generator made is the same when it is cached",
  generator_of_strings_is_joined: "text in pieces is whole, on a hit too",
  generator_of_bytes_is_joined: "bytes in pieces are whole, on a hit too",
  generator_of_other_types_stays_a_list: "pieces of other types stay pieces",
  cached_view_returning_stream_template: "a streamed page is cached as a page, with its type",
  memoized_generator_of_strings_is_joined: "pieces are cached by the arguments"
} as const

/** `test_cachelib.py` */
export const cachelib = {
  cachelib_class_as_cache_type: "a class of cachelib is used as it is",
  cachelib_backend_gets_default_timeout: "the default time of the configuration reaches the caches",
  cachelib_backend_gets_cache_options: "options reach the backend",
  cachelib_backend_gets_cache_args: "the directory reaches the backend",
  cachelib_backend_proxy_methods: "set, get, has, add, set many, get many, delete and clear in a row",
  cachelib_backend_with_cached_view: "a view runs once for two requests",
  cachelib_backend_with_memoize: "a function is memoized, and forgotten",
  backend_uses_cachelib_serializer: "a serializer of one's own is used"
} as const

/** `test_hash_method.py` */
export const hashMethod = {
  default_hash_method_is_sha256: "the key of a query is the path and its pairs in order, and a hash where it is long",
  query_string_key_includes_key_prefix: "a prefix is in the key of a query",
  cached_uses_configured_hash_method: "the configured hash is used",
  decorator_argument_overrides_configured_hash_method: "a function's own hash wins",
  hash_method_read_from_extension_config: "the hash is read from the cache's configuration",
  non_callable_hash_method_raises: "what is no setting is refused at the start",
  hash_method_resolved_after_decoration: "what is configured after a function was made counts",
  delete_memoized_matches_configured_hash_method: "a call and its invalidation have one key",
  configured_hash_method_changes_memoize_key: "another hash is another key",
  file_hash_method_is_independent: "names of files are hashed apart"
} as const

/** `test_serializer.py` */
export const serializer = {
  default_keeps_the_cachelib_serializer: "where none is given there is one",
  instance_is_used_as_is: "a given one is used as it is",
  class_is_instantiated: "a class of them is made an instance",
  serializer_read_from_extension_config: "one is read from the configuration",
  configured_serializer_is_used_for_get_and_set: "a set encodes once, and a get decodes once",
  values_are_stored_in_the_configured_format: "the bytes in the store are the JSON that was meant",
  cachelib_cache_type_gets_the_serializer: "a class of cachelib gets it too",
  backend_without_serializer_warns: "a backend that has no use for one warns",
  string_serializer_raises: "a name is refused",
  non_cachelib_serializer_raises: "an object that looks alike is refused",
  non_cachelib_serializer_class_raises: "a class that looks alike is refused",
  serializer_class_needing_arguments_raises: "a class that cannot be made is refused",
  serializer_is_rejected_before_the_backend_is_built: "bad configuration is refused before a backend is made"
} as const

/** `test_memoize.py`, functions. */
export const memoize = {
  memoize: "same arguments are cached, other arguments apart, and each entry expires by itself",
  memoize_falsy_default_argument: "an argument not given has the key of its absence, and 0 and null have others",
  memoize_hashes: "any hash works",
  memoize_timeout: "the default time is used",
  memoize_entry_written_late_keeps_its_own_timeout: "an entry of second 59 lives for 60 more",
  memoize_version_key_outlives_newest_entry: "at second 109 the entry of second 59 is still a hit",
  memoize_version_key_expires_once_its_entries_have: "when the entries are gone nothing else is left",
  memoize_delete_resets_version_key: "after an invalidation caching works again, an hour later too",
  memoize_annotated: "annotations do not matter",
  memoize_annotated_delete: "annotations do not matter to an invalidation",
  memoize_utf8_arguments: "arguments beyond ASCII do not fail",
  memoize_unicode_arguments: "arguments beyond Latin do not fail",
  memoize_delete: "all calls of a function are forgotten",
  memoize_delete_via_attribute: "all calls are forgotten by what hangs on the function",
  memoize_no_timeout_delete: "of entries without an end one is forgotten, and the others stay",
  memoize_verhash_delete: "after an invalidation values are computed anew, and kept",
  memoize_args: "a list is an argument, and is forgotten by an equal one",
  memoize_kwargs: "a record is an argument, and is forgotten by an equal one",
  memoize_kwargonly: "an option not given and one that is given are apart",
  memoize_arg_kwarg: "an option and its default are one call where they are filled in; a wrong call fails",
  memoize_arg_kwarg_var_keyword: "the order of options does not matter",
  memoize_classarg: "an object is its content: changed, it is another argument",
  memoize_forced_update: "a forced value replaces the cached one",
  memoize_forced_update_parameters: "the predicate is asked exactly once a call, with its arguments",
  memoize_is_stale: "the predicate is asked on hits only, and what is computed anew replaces",
  memoize_is_stale_parameters: "the predicate is asked with the value and the arguments",
  memoize_multiple_arg_kwarg_calls: "options in any order, given or left undefined behind, have one key",
  memoize_multiple_arg_kwarg_delete: "an invalidation with any of these spellings works",
  memoize_kwargs_to_args: "the normaliser of arguments",
  memoize_when_using_args_unpacking: "any number of arguments",
  memoize_when_using_variable_mix_args_unpacking: "arguments, any number of more, and options",
  memoize_none: "absence is cached",
  memoize_never_accept_none: "absence is computed anew where the program says so",
  memoize_with_source_check_enabled: "different source is a different entry",
  memoize_with_source_check_disabled: "different source, no version: the same entry",
  memoize_source_check_from_config: "one setting gives all functions a version",
  memoize_delete_with_source_check_from_config: "an invalidation finds the key of its version",
  cached_source_check_from_config_applies_to_first_call: "the key is the same before the first call and after it",
  memoize_ignore_args: "an argument that is left out shares the entry",
  memoize_function_ignore_kwarg: "an option that is left out shares the entry"
} as const

/** `test_memoize.py`, methods. */
export const memoizeMethods = {
  memoize_classfunc_delete_via_attribute: "what hangs on the method forgets every instance",
  memoize_classfunc: "instances are apart",
  memoize_classfunc_repr: "an instance is known by its identity, not by how it prints",
  memoize_classfunc_delete: "one instance is forgotten, or the class",
  memoize_classfunc_delete_with_args: "a bound method forgets one call of its instance",
  memoize_classfunc_delete_with_explicit_instance: "the instance given, that call of it is forgotten",
  memoize_classfunc_delete_with_args_to_ignore_self:
    "instances left out share an entry, and it is forgotten by its arguments",
  memoize_classfunc_delete_with_kwargs_only:
    "a call with options alone is forgotten by them; without an instance it is an error",
  memoize_classmethod_delete: "a function of the class is forgotten for all arguments",
  memoize_classmethod_delete_with_args: "the class must be named, and nothing is forgotten where it is not",
  memoize_method_ignore_self_arg: "instances left out share their entries"
} as const

/** `test_view.py` */
export const view = {
  cached_view: "the same body within two seconds, a new one at two",
  cached_view_class: "a view made of handlers by method is cached",
  async_cached_view: "a view that waits is cached",
  cached_view_unless: "never cached where `unless` says so, cached where not",
  cached_view_response_filter: "500 is not cached, 200 is",
  cached_view_forced_update: "toggled, it is made anew, and cached again",
  cached_view_is_stale: "toggled, it is refreshed",
  generate_cache_key_from_different_view: "the entry of another view can be named within a request",
  cache_key_property: "the entry that a request stored is found by its name",
  set_make_cache_key_property: "another way to make keys makes other entries",
  make_cache_key_function_property: "the key of a call can be made of its arguments, and others make another",
  cache_timeout_property: "the time is readable, can be another, and counts",
  cache_timeout_dynamic_via_cached_reponse: "the response's own time counts",
  generate_cache_key_from_query_string: "the order of parameters does not matter; another query is another entry",
  generate_cache_key_from_query_string_repeated_paramaters:
    "of parameters that repeat the values keep their order; another value is another entry",
  generate_cache_key_from_request_body: "what is behind a POST is cached by its body",
  cache_with_query_string_and_source_check_enabled:
    "another version is another entry of a query; at the old one the old entry",
  cache_with_query_string_and_source_check_disabled: "without a version the source does not matter",
  hit_cache: "no sign on a miss, one on a hit, none after its time, and never where it is switched off",
  delete_cached_query_string: "an entry is deleted by its query, written in any order",
  delete_cached_query_string_only_deletes_matching_arguments: "entries of other queries stay",
  delete_cached_query_string_repeated_parameters: "an entry of repeated parameters is deleted by them",
  delete_cached_view: "an entry is deleted by its path",
  delete_cached_view_builds_the_path_with_url_for: "an entry is deleted by the parameters of its route",
  make_cache_key_outside_request_context: "an entry can be named without a request"
} as const

/** `test_templates.py` */
export const templates = {
  jinjaext_cache: "fragments have keys of name and vary, `del` removes its own, and a variable of the template may vary"
} as const

/** `test_signals.py` */
export const signals = {
  signals_disabled_by_default: "nothing is told where nobody listens",
  cached_view_sends_miss_then_hit: "of a view, one miss and then one hit, with one key",
  cached_view_signals_are_per_cache_key: "of foo, bar and foo two misses and a hit",
  memoize_sends_miss_then_hit: "of a function, one miss and then one hit",
  memoize_sends_kwargs: "what is told names the call by its key, options and all",
  memoize_forced_update_sends_miss: "a forced call is a miss",
  memoize_is_stale_sends_miss: "a call that finds its value stale and waits is a miss",
  signals_enabled_through_cache_config: "a setting switches it on"
} as const

/** `test_subclassing.py` */
export const subclassing = {
  cached_uses_public_methods:
    "a miss reads, takes the right to fill, and fills; a hit reads, and in memory asks nothing of the backend",
  cached_cache_none_uses_public_has: "absence costs no operation more than a value",
  memoize_uses_public_methods: "of a memoized function the same",
  delete_memoized_uses_public_delete: "forgetting a call is one removal",
  delete_memoized_without_args_uses_public_set_many: "forgetting all calls is one clear",
  delete_memoized_verhash_uses_public_delete_many: "and there is no other record to be removed",
  subclass_overrides_still_cache_correctly: "a backend wrapped in another caches alike"
} as const

/** `test_py314_annotations.py` */
export const py314Annotations = {
  memoize_with_type_checking_annotation: "an annotation that cannot be resolved does not matter to memoize",
  cached_with_type_checking_annotation: "nor to cached",
  memoize_unless_with_type_checking_annotation: "nor to unless"
} as const

/** `memoize_typing.py`, which is not run but type-checked. */
export const memoizeTyping = {
  decorator_preserves_signature: "a memoized function takes and answers what the function does",
  self_binding: "a bound method does not take its instance",
  attribute_types: "what hangs on the function has the function's types"
} as const
