/** The Lua scripts. Each decides a whole batch; an error of one claim is that claim's answer, `!message`, and leaves the others alone. */
import { createHash } from "node:crypto";

export interface Script {
  readonly source: string;
  readonly sha: string;
}

function script(body: string): Script {
  const source = common + body;
  return { source, sha: createHash("sha1").update(source).digest("hex") };
}

// Times: TIME stands still during a script, and so does the clock that decides on expiry. Redis holds a key until its clock is *past* the
// expiry, in whole milliseconds; the entries of shared records follow the same rule.
// Numbers: tokens and times stay below 2^53, where Lua's doubles are exact; '%.0f' writes them without an exponent, tostring does not.
const common = `
local time = redis.call('TIME')
local us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local ms = math.floor(us / 1000)

local function digits(number)
  return string.format('%016.0f', number)
end

-- 'x' and the value of an exclusive record, 's' for a shared one, or nothing. Another type or text under the key is an error.
local function read(key)
  local value = redis.pcall('GET', key)
  if not value then return nil end
  if type(value) == 'table' then
    if string.find(value.err, 'WRONGTYPE', 1, true) then return 's' end
    error(value)
  end
  if not string.find(value, '^%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d') then error('FOREIGN') end
  return 'x', value
end

-- The entry of a live sharer: when it ends, and the rest.
local function sharer(key, owner)
  local entry = redis.call('HGET', key, owner)
  if not entry then return nil end
  local ends = tonumber(string.sub(entry, 1, 16))
  if not ends then error('FOREIGN') end
  return ends, string.sub(entry, 17)
end

-- A hash lives as long as its longest entry.
local function keep(key, ttl)
  if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ttl) end
end

local function each(count, decide)
  local answers = {}
  for i = 1, count do
    local fine, answer = pcall(decide, i)
    if not fine then answer = '!' .. (type(answer) == 'table' and answer.err or tostring(answer)) end
    answers[i] = answer
  end
  return answers
end
`;

/**
 * KEYS: the counters of the groups concerned, then the records. ARGV: the number of counters; then for each claim the position of its
 * counter, `ownerText`, the TTL, the mode (`x`, `s`, or `s` and the limit), and the metadata after a `+` or nothing.
 * Answers: the time in microseconds; then for each the token, or {ms until it may succeed or -1, `x`, value} or {ms, `s`, owner, entry}, which
 * is one of those in the way.
 */
export const acquireScript = script(`
local counters = tonumber(ARGV[1])
local last = {}

local function mint(counter)
  local token = last[counter]
  if token then
    token = token + 1
  else
    local stored = redis.call('GET', KEYS[counter])
    if stored and not tonumber(stored) then error('FOREIGN') end
    token = math.max((tonumber(stored or 0)) + 1, us)
  end
  if token >= 9007199254740991 then error('EXHAUSTED') end
  last[counter] = token
  return digits(token)
end

-- Removes ended entries. Returns how many live, the first and the last of their ends, and the oldest sharer with its entry.
local function census(key)
  local all = redis.call('HGETALL', key)
  local live, first, final, oldest, entry = 0, nil, nil, nil, nil
  for i = 1, #all, 2 do
    local ends = tonumber(string.sub(all[i + 1], 1, 16))
    if not ends then error('FOREIGN') end
    if ends < ms then
      redis.call('HDEL', key, all[i])
    else
      live = live + 1
      if not first or ends < first then first = ends end
      if not final or ends > final then final = ends end
      if not entry or string.sub(all[i + 1], 17, 32) < string.sub(entry, 17, 32) then oldest, entry = all[i], all[i + 1] end
    end
  end
  return live, first, final, oldest, entry
end

local answers = each(#KEYS - counters, function(i)
  local key, at = KEYS[counters + i], 5 * i - 3
  local counter, named, ttl, mode, metadata = tonumber(ARGV[at]), ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3], ARGV[at + 4]
  local kind, value = read(key)
  if kind == 'x' then
    if mode == 'x' and string.sub(value, 17, 16 + #named) == named then
      keep(key, ttl)
      return string.sub(value, 1, 16)
    end
    local left = redis.call('PTTL', key)
    return {left < 0 and -1 or left + 1, 'x', value}
  end
  if mode == 'x' then
    if kind == 's' then
      local live, _, final, oldest, entry = census(key)
      if live > 0 then return {final - ms + 1, 's', oldest, entry} end
    end
    local token = mint(counter)
    redis.call('SET', key, token .. named .. metadata, 'PX', ttl)
    return token
  end
  local owner, limit = string.sub(named, 4), tonumber(string.sub(mode, 2))
  if kind == 's' then
    local ends, rest = sharer(key, owner)
    if ends and ends >= ms then
      if ends < ms + ttl then redis.call('HSET', key, owner, digits(ms + ttl) .. rest) end
      keep(key, ttl)
      return string.sub(rest, 1, 16)
    end
    local held = redis.call('HLEN', key)
    -- Counting is only needed near the limit, and now and then so that ended entries cannot pile up under a key that is always held.
    if (limit and held >= limit) or held % 32 == 31 then
      local live, first, _, oldest, entry = census(key)
      if limit and live >= limit then return {first - ms + 1, 's', oldest, entry} end
    end
  end
  local token = mint(counter)
  redis.call('HSET', key, owner, digits(ms + ttl) .. token .. metadata)
  keep(key, ttl)
  return token
end)

for counter, token in pairs(last) do redis.call('SET', KEYS[counter], digits(token)) end
table.insert(answers, 1, digits(us))
return answers
`);

/**
 * KEYS: the records. ARGV for each claim: the token and `ownerText`, the TTL, the longest TTL it ever had. Answers: 1 or 0.
 * A lease that is to be shortened because the server's clock stepped back is written like one that is prolonged.
 */
export const extendScript = script(`
return each(#KEYS, function(i)
  local key, lead, ttl, longest = KEYS[i], ARGV[3 * i - 2], tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local kind, value = read(key)
  if kind == 'x' then
    if string.sub(value, 1, #lead) ~= lead then return 0 end
    local left = redis.call('PTTL', key)
    if left < ttl or left > longest then redis.call('PEXPIRE', key, ttl) end
    return 1
  elseif kind == 's' then
    local owner = string.sub(lead, 20)
    local ends, rest = sharer(key, owner)
    if not ends or ends < ms or string.sub(rest, 1, 16) ~= string.sub(lead, 1, 16) then return 0 end
    if ends < ms + ttl or ends > ms + longest then redis.call('HSET', key, owner, digits(ms + ttl) .. rest) end
    keep(key, ttl)
    return 1
  end
  return 0
end)
`);

/**
 * KEYS: the records. ARGV: the command that tells of a release (PUBLISH or SPUBLISH); then for each claim the token, or `-` sixteen times
 * when only the owner counts, and `ownerText`. Answers: 1 or 0. That nobody could be told does not undo a release.
 */
export const releaseScript = script(`
return each(#KEYS, function(i)
  local key, lead = KEYS[i], ARGV[i + 1]
  local from = string.byte(lead) == 45 and 17 or 1
  local kind, value = read(key)
  if kind == 'x' then
    if string.sub(value, from, #lead) ~= string.sub(lead, from) then return 0 end
    redis.call('DEL', key)
  elseif kind == 's' then
    local owner = string.sub(lead, 20)
    local ends, rest = sharer(key, owner)
    if not ends or (from == 1 and string.sub(rest, 1, 16) ~= string.sub(lead, 1, 16)) then return 0 end
    redis.call('HDEL', key, owner)
    if ends < ms then return 0 end
  else
    return 0
  end
  redis.pcall(ARGV[1], key, '')
  return 1
end)
`);

/** KEYS: the records. Answers: the time in microseconds; then for each 0, {`x`, value, ms left} or {`s`, owner, entry, owner, entry, …}. */
export const inspectScript = script(`
local answers = each(#KEYS, function(i)
  local kind, value = read(KEYS[i])
  if kind == 'x' then return {'x', value, redis.call('PTTL', KEYS[i])} end
  if kind ~= 's' then return 0 end
  local all = redis.call('HGETALL', KEYS[i])
  table.insert(all, 1, 's')
  return all
end)
table.insert(answers, 1, digits(us))
return answers
`);
