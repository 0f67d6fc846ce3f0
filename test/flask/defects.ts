/** What goes wrong with Flask-Caching, by the numbers of the list of its defects, and what is right here. */

/** Wrong data, and data in wrong hands. */
export const wrongData = {
  D1: "a URL writes commands to memcached; here no key says anything on the wire",
  D2: "arguments called path, query_args or use_request are taken for options; here an argument is an argument",
  D3: "only exactly true bypasses, and a user's id does not; here a predicate is a boolean, or an effect of one",
  D4: "the key is the path, and a GET gets what a POST made; here method, host and query count",
  D5: "a cookie that a view sets is given to everybody; here such an answer is not stored",
  D6: "one client's 304, 206 or HEAD is everybody's page; here only whole answers to GET are stored",
  D7: "no-store, private and Vary are ignored; here they are obeyed, and a client's no-cache where the program says so",
  D8: "a 500 is cached like a page; here errors are not stored",
  D9: "who writes to the store runs code; here what is read is data, and what is no data is a miss",
  D10: "objects that print alike share a value; here values are told apart by what they are",
  D11: "positional arguments get lost; here the call is the key",
  D12: "two functions of one factory share; here each has the name it was given",
  D13: "a default of zero and none are one; here 0, null and nothing are three",
  D14: "the order of repeated parameters is lost; here it counts",
  D15: "a prefix drops the path; here no option does",
  D16: "fragments without a name share, and so do a_b, c and a, b_c; here a name is needed, and parts are parts",
  D17: "a page with a user's data is cached unless somebody thinks of it; here it is not, unless somebody says so"
} as const

/** What happens at once, and what fails. */
export const consistency = {
  D18: "twenty who miss compute twenty times; here one does",
  D19: "a write undoes an invalidation; here an invalidation is never lost",
  D20: "what is computed while it is invalidated is served for its whole time; here it is not stored",
  D21: "two processes orphan each other's entries; here they see one version of a tag",
  D22: "a stored nothing and a miss are told apart by a second question; here one answer says which",
  D23: "add is two steps, and counting up resets the time; here add is one, and a counter keeps its time",
  D24: "files are counted wrongly by those who write at once; here the bound holds",
  D25: "who writes may not read it, as replicas are asked; here the master is",
  D26: "another process does not hear of an invalidation; here a bus tells it",
  D27: "a mistake in a key function switches caching off without a word; here it is told",
  D28: "arguments called f, unless or self break the call; here they are arguments",
  D29: "an entry that cannot be read stays until its end; here it is a miss, and is replaced",
  D30: "what cannot be encoded is computed at every call, or stored as nothing; here set says so",
  D31: "what a store refuses is not told; here set fails with the reason",
  D32: "requests hang while the backend does; here an operation has a time-out",
  D33: "a listener breaks requests; here it cannot",
  D34: "a body that fails runs twice, and no time-out means five minutes; here it runs once, and means for ever"
} as const

/** Backends. */
export const backends = {
  D35: "what never expires is evicted first, and what was used is not spared; here use counts",
  D36: "files: what has expired cannot be added, foreign files are deleted, 2106 is the end; here none of it",
  D37: "clear takes its prefix for a pattern; here it is text, and ends where the name does",
  D38: "on a cluster keys of several slots cannot be read at once; here they can",
  D39:
    "a negative time means what the backend takes it for, and zero for ever; here it is refused, and zero stores nothing",
  D40: "of spread values has, get_many and add see nothing; here all operations do",
  D41: "memcached: long keys and spaces are never hits, and clear empties the server; here they are, and it does not",
  D42: "another's backend breaks by an option it does not know; here five primitives are a backend",
  D43: "stores of others lose times and clear whole tables",
  D44: "each backend answers delete and clear in its own way; here all alike"
} as const

/** The interface. */
export const design = {
  D45: "an asynchronous function is cached by blocking, and its predicates are ignored; here all is asynchronous",
  D46: "a stream is buffered whole before its first piece; here it goes on as it comes",
  D47: "invalidation does not know the key function; here there is one key",
  D48:
    "there is no invalidation by part of the arguments, and no look at what is stored; here there are tags, and explain",
  D49: "a hit of a memoized function is two round trips; here it is one, or none",
  D50: "a key function is given nothing; here it is given the arguments",
  D51: "a response's time of zero is ignored, and memoize ignores all; here both obey",
  D52: "the sign of a hit is one for nested caches, and only on hits; here each cache says what it did",
  D53: "the default stores nothing; here it is memory",
  D54: "an upgrade changes keys; here they are what they are",
  D55:
    "the source is read at every call, and helpers are not seen; here it is read once, with the helpers that are named",
  D56:
    "instances share by how they print, and the order of fields splits keys; here identity counts, and order does not",
  D57: "failures are never cached; here those that are given time are",
  D58: "no tiers, no compression, no counts; here there are",
  D59: "the last app's settings are everybody's; here each program has its own",
  D60: "the documentation says what the code does not"
} as const
