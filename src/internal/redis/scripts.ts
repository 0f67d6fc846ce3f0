/**
 * The operations that look before they write, as Lua scripts: one step of the
 * server and one round trip each. `now` is the Clock's, in epoch milliseconds;
 * `px` is how many milliseconds the server keeps a key, or empty for ever.
 *
 * The layout of an envelope is told in `entry.ts`. A value is stored before the
 * lease goes: a full server refuses a script's first write, and none after it.
 */
import { createHash } from "node:crypto"

export interface Script {
  readonly text: string
  readonly sha: string
}

const script = (text: string): Script => ({ text, sha: createHash("sha1").update(text).digest("hex") })

/** The fixed part of the envelope under `key`; nil where that is foreign, cut short or has expired. */
const header = `
local function header(key, now)
  local head = redis.pcall("GETRANGE", key, 0, 48)
  if type(head) ~= "string" or #head < 49 or string.sub(head, 1, 4) ~= "EFC\\1" then return nil end
  if not (struct.unpack("<d", head, 26) > now) then return nil end
  local least = 49 + struct.unpack("<I4", head, 42) + struct.unpack("<I2", head, 46)
  if redis.call("STRLEN", key) < least then return nil end
  return head
end`

const put = `
local function put(key, value, px)
  if px == "" then redis.call("SET", key, value) else redis.call("SET", key, value, "PX", px) end
end`

/** `key lease …`, `value px …`. */
export const set = script(`${put}
for i = 1, #KEYS, 2 do
  put(KEYS[i], ARGV[i], ARGV[i + 1])
  redis.call("UNLINK", KEYS[i + 1])
end
return #KEYS / 2`)

/** `key lease`, `now value px`: 1 if it was stored. */
export const add = script(`${header}${put}
if header(KEYS[1], tonumber(ARGV[1])) then return 0 end
put(KEYS[1], ARGV[2], ARGV[3])
redis.call("UNLINK", KEYS[2])
return 1`)

/** `key`, `now`: 1 if there is an entry. */
export const has = script(`${header}
if header(KEYS[1], tonumber(ARGV[1])) then return 1 end
return 0`)

/** `key lease …`, `now`: how many entries there were. */
export const remove = script(`${header}
local now, removed = tonumber(ARGV[1]), 0
for i = 1, #KEYS, 2 do
  if header(KEYS[i], now) then removed = removed + 1 end
  redis.call("UNLINK", KEYS[i], KEYS[i + 1])
end
return removed`)

/**
 * `key lease`, `now by value px`: the number after adding, as text; false where
 * there is no safe integer. `value` is the entry of a new counter. The payload's
 * length, the flags and the checksum of one that is there are written anew.
 */
export const increment = script(`${header}${put}
local key, by = KEYS[1], tonumber(ARGV[2])
local head = header(key, tonumber(ARGV[1]))
if not head then
  put(key, ARGV[3], ARGV[4])
  redis.call("UNLINK", KEYS[2])
  return ARGV[2]
end
local size, length = struct.unpack("<I4", head, 42), redis.call("STRLEN", key)
if size > 20 then return false end
local digits = size > 0 and redis.call("GETRANGE", key, length - size, -1) or ""
if not string.match(digits, "^%-?%d+$") then return false end
local largest, before = 9007199254740991, tonumber(digits)
local after = before + by
if math.abs(before) > largest or math.abs(after) > largest then return false end
local text = after == 0 and "0" or string.format("%.0f", after)
local middle = length - size > 49 and redis.call("GETRANGE", key, 49, length - size - 1) or ""
redis.call("SET", key, "EFC\\1\\0\\0\\0\\0\\0" .. string.sub(head, 10, 41) .. struct.pack("<I4", #text) ..
  string.sub(head, 46, 49) .. middle .. text, "KEEPTTL")
redis.call("UNLINK", KEYS[2])
return text`)

/** `key lease`, `token px`: whether the lease is ours now, and what is under the key. */
export const lease = script(`
local isMine = redis.call("SET", KEYS[2], ARGV[1], "NX", "PX", ARGV[2]) and 1 or 0
local value = redis.pcall("GET", KEYS[1])
return { isMine, type(value) == "string" and value or false }`)

/** `lease`, `token px`, where a px of 0 gives the lease back: 1 if it was still held. */
export const renew = script(`
if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == "0" then redis.call("UNLINK", KEYS[1]) else redis.call("PEXPIRE", KEYS[1], ARGV[2]) end
return 1`)

/** `key lease`, `token value px`: 1 if the lease was still held and the value is stored. The lease ends either way. */
export const fill = script(`${put}
if redis.call("GET", KEYS[2]) ~= ARGV[1] then return 0 end
local isStored, failure = pcall(put, KEYS[1], ARGV[2], ARGV[3])
redis.call("UNLINK", KEYS[2])
if not isStored then return type(failure) == "table" and failure or redis.error_reply(failure) end
return 1`)

/** Keys of versions, `px fresh …`: the version under each key, which is the fresh one where there was none. */
export const versions = script(`
local found = {}
for i, key in ipairs(KEYS) do
  local version = redis.pcall("GET", key)
  if type(version) == "string" then
    redis.call("PEXPIRE", key, ARGV[1])
  else
    version = ARGV[i + 1]
    redis.call("SET", key, version, "PX", ARGV[1])
  end
  found[i] = version
end
return found`)

/**
 * `key lease …`, `retention share`, then for each key `now token px n tag…`: for each key
 * a list of the entry under it, whether the lease is ours now, and versions, hard and soft
 * in turn.
 *
 * The lease is taken where there is no entry, or one that carries the outdated hard
 * version of a tag, which only who has the lease is shown.
 *
 * Without the lease the versions are those of the entry's tags, or none where one of them
 * is missing. With the lease those of the n tags follow; they are made of the token where
 * they are missing, and all are kept for `retention` from now. With an empty `retention`
 * no tag is looked at: on several servers its versions may be elsewhere.
 *
 * `share` is what all keys begin with.
 */
export const getOrLease = script(`
local retention, share = ARGV[1], ARGV[2]
local escapes = { ["%"] = "%25", ["{"] = "%7B", ["}"] = "%7D" }

local function find(key, now)
  local value = redis.pcall("GET", key)
  if type(value) ~= "string" or #value < 49 or string.sub(value, 1, 4) ~= "EFC\\1" then return nil end
  if not (struct.unpack("<d", value, 26) > now) then return nil end
  if #value < 49 + struct.unpack("<I4", value, 42) + struct.unpack("<I2", value, 46) then return nil end
  return value
end

local function versionKey(kind, tag)
  return share .. "~" .. kind .. ":" .. (string.gsub(tag, "[%%{}]", escapes))
end

local function tagsOf(value)
  local tags, at = {}, 50 + struct.unpack("<I2", value, 46)
  for i = 1, struct.unpack("<I2", value, 48) do
    local tag, hard, soft
    tag, hard, soft, at = struct.unpack("<I2c0Bc0Bc0", value, at)
    tags[i] = { hardKey = versionKey("hard", tag), softKey = versionKey("soft", tag), hard = hard }
  end
  return tags
end

-- The answer for who needs no lease; nil where the entry is outdated.
local function unleased(value, tags)
  local answer, isComplete = { value, 0 }, true
  for _, tag in ipairs(tags) do
    local hard, soft = redis.pcall("GET", tag.hardKey), redis.pcall("GET", tag.softKey)
    if hard ~= tag.hard then return nil end
    if type(soft) ~= "string" then isComplete = false end
    answer[#answer + 1], answer[#answer + 2] = hard, soft
  end
  return isComplete and answer or { value, 0 }
end

local function answerOf(key, lease, now, token, px, names)
  local value, tags = find(key, now), {}
  if value and retention ~= "" then
    local isWhole, found = pcall(tagsOf, value)
    if isWhole then tags = found else value = nil end
  end
  if value then
    local answer = unleased(value, tags)
    if answer then return answer end
  end
  local reply = redis.pcall("SET", lease, token, "NX", "PX", px)
  if type(reply) ~= "table" or not reply.ok then return { false, 0 } end
  for _, name in ipairs(names) do
    tags[#tags + 1] = { hardKey = versionKey("hard", name), softKey = versionKey("soft", name) }
  end
  local answer = { value or false, 1 }
  for _, tag in ipairs(tags) do
    for _, at in ipairs({ tag.hardKey, tag.softKey }) do
      local version = redis.pcall("GET", at)
      if type(version) == "string" then
        redis.call("PEXPIRE", at, retention)
      else
        version = token .. "." .. #answer
        redis.call("SET", at, version, "PX", retention)
      end
      answer[#answer + 1] = version
    end
  end
  return answer
end

local answers, at = {}, 3
for i = 1, #KEYS, 2 do
  local names = {}
  for n = 1, tonumber(ARGV[at + 3]) do names[n] = ARGV[at + 3 + n] end
  answers[#answers + 1] = answerOf(KEYS[i], KEYS[i + 1], tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 2], names)
  at = at + 4 + #names
end
return answers`)
