/**
 * The Lua scripts. Each decides a whole batch: first, in one loop without functions, the exclusive locks without contention; then whatever is
 * left, each under `pcall`, so that an error of one claim is that claim's answer, `!message`, and leaves the others alone.
 *
 * Times: TIME stands still during a script, and so does the clock that decides on expiry. Redis holds a key until its clock is *past* the
 * expiry, in whole milliseconds; the entries of shared records follow the same rule.
 * Numbers: tokens and times stay below 2^53, where Lua's doubles are exact; '%.0f' writes them without an exponent, tostring does not.
 */
import { createHash } from "node:crypto";

export interface Script {
  readonly source: string;
  readonly sha: string;
}

export function script(source: string): Script {
  return { source, sha: createHash("sha1").update(source).digest("hex") };
}

const now = `
local time = redis.call('TIME')
local us = time[1] * 1000000 + time[2]
`;

/** For the part after the first loop. `rest` holds the positions of the claims that are left, `decide` answers one of them. */
const slowly = `
local ms = math.floor(us / 1000)

-- 'x' and the value of an exclusive record, 's' for a shared one, or nothing. Another type or text under the key is an error.
local function read(key)
  local value = redis.pcall('GET', key)
  if not value then return nil end
  if type(value) == 'table' then
    if string.find(value.err, 'WRONGTYPE', 1, true) then return 's' end
    error(value)
  end
  if not string.find(value, '^%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d.*[.!]$') then error('FOREIGN') end
  return 'x', value
end

-- The entry of a sharer: when it ends, and the rest.
local function sharer(key, owner)
  local entry = redis.call('HGET', key, owner)
  if not entry then return nil end
  local ends = tonumber(string.sub(entry, 1, 16))
  if not ends then error('FOREIGN') end
  return ends, string.sub(entry, 17)
end

-- A record lives at least so long; a shared one as long as its longest entry.
local function keep(key, ttl)
  if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ttl) end
end

local function each(rest, decide)
  for _, i in ipairs(rest) do
    local fine, answer = pcall(decide, i)
    if not fine then answer = '!' .. (type(answer) == 'table' and answer.err or tostring(answer)) end
    answers[i] = answer
  end
end
`;

/**
 * KEYS: the counter, then the records. ARGV: the `ownerText` of each claim; then the TTL and either `x` and what follows the owner in a new
 * record, or `s`, the limit if there is one, and what follows the token in a new entry: once when they are the same for all, else for each.
 * Answers: when all are granted, the token of the first; each further one's is greater by one. Otherwise the time in microseconds, then for
 * each claim the token, or {ms until it may succeed or -1, `x`, value} or {ms, `s`, owner, entry}, which is one of those in the way.
 * As many tokens as there are claims are taken from the counter at once: a gap does no harm, and a server that refuses writes says so first.
 */
export const acquireScript = script(`
local time = redis.call('TIME')
local keys, argv, byte, sub, format, pcall_ = KEYS, ARGV, string.byte, string.sub, string.format, redis.pcall
local count = #keys - 1
-- The tokens that follow the time, as text: the seconds stay, which spares formatting sixteen digits for each.
local head, before = time[1], time[2] - 1
local final = head .. format('%06d', before + count)
local first = count == 1 and final or head .. format('%06d', before + 1)
local stored = redis.call('SET', keys[1], final, 'GET')
local base
if #final ~= 16 or (stored and (#stored ~= 16 or stored >= first)) then
  -- The microseconds run into the next second, or the counter is ahead of the clock.
  local last = tonumber(stored or 0)
  if not last or last + count >= 9007199254740991 then
    redis.call('SET', keys[1], stored)
    return redis.error_reply(last and 'EXHAUSTED tokens' or 'FOREIGN counter')
  end
  base = math.max(last, time[1] * 1000000 + time[2] - 1)
  first = format('%016.0f', base + 1)
  redis.call('SET', keys[1], format('%016.0f', base + count))
end

-- Where the TTL of a claim stands, and how far behind it that of the next one.
local terms, step = count + 1, #argv > count + 2 and 2 or 0
local answers, left, failed = {}, nil, false
for i = 1, count do
  local token = i == 1 and first or base and format('%016.0f', base + i) or head .. format('%06d', before + i)
  local at = terms + step * (i - 1)
  local how = argv[at + 1]
  if byte(how) == 120 then
    local set = pcall_('SET', keys[i + 1], token .. argv[i] .. sub(how, 2), 'PX', argv[at], 'NX')
    if set then
      answers[i] = set.ok and token or '!' .. set.err
      failed = failed or not set.ok
    end
  end
  if not answers[i] then
    left = left or {}
    left[#left + 1] = i
  end
end
if not left and not failed then return first end

local us = time[1] * 1000000 + time[2]
${slowly}
local function digits(number)
  return format('%016.0f', number)
end

local function token(i)
  return digits((base or us - 1) + i)
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

each(left or {}, function(i)
  local key, at = keys[i + 1], terms + step * (i - 1)
  local named, ttl = argv[i], tonumber(argv[at])
  local mode, limit, metadata = string.match(argv[at + 1], '^([xs])(%d*)(.*)$')
  local kind, value = read(key)
  if kind == 'x' then
    if mode == 'x' and string.sub(value, 17, 16 + #named) == named then
      keep(key, ttl)
      return string.sub(value, 1, 16)
    end
    -- Only of a lease that has refused somebody the release is told.
    if string.byte(value, -1) ~= 33 then redis.call('SETRANGE', key, #value - 1, '!') end
    local remaining = redis.call('PTTL', key)
    return {remaining < 0 and -1 or remaining + 1, 'x', value}
  end
  if mode == 'x' then
    local live, _, final, oldest, entry = census(key)
    if live > 0 then return {final - ms + 1, 's', oldest, entry} end
    redis.call('SET', key, token(i) .. named .. metadata, 'PX', ttl)
    return token(i)
  end
  local owner = string.sub(named, 4)
  limit = tonumber(limit)
  if kind == 's' then
    local ends, held = sharer(key, owner)
    if ends and ends >= ms then
      if ends < ms + ttl then redis.call('HSET', key, owner, digits(ms + ttl) .. held) end
      keep(key, ttl)
      return string.sub(held, 1, 16)
    end
    local count = redis.call('HLEN', key)
    -- Counting is only needed near the limit, and now and then so that ended entries cannot pile up under a key that is always held.
    if (limit and count >= limit) or count % 32 == 31 then
      local live, first, _, oldest, entry = census(key)
      if limit and live >= limit then return {first - ms + 1, 's', oldest, entry} end
    end
  end
  redis.call('HSET', key, owner, digits(ms + ttl) .. token(i) .. metadata)
  keep(key, ttl)
  return token(i)
end)

table.insert(answers, 1, us)
return answers
`);

/** For the first loop of the next two: what lies under the keys, exclusive records as text. */
const values = `
local keys, argv, byte, sub, pcall_ = KEYS, ARGV, string.byte, string.sub, redis.pcall
local count = #keys
local values = count == 1 and {pcall_('GET', keys[1])} or redis.call('MGET', unpack(keys))
local answers, left, failed = {}, nil, false
`;

/**
 * KEYS: the records. ARGV: the token and `ownerText` of each claim; then the TTL and the longest TTL it ever had: once when they are the same
 * for all, else for each. Answers: 1 when all are, else 1 or 0 for each. A lease that outlasts its longest TTL is one of a server whose clock
 * stepped back: it is cut to what was asked for.
 */
export const extendScript = script(`${values}
local terms, step = count + 1, #argv > count + 2 and 2 or 0
for i = 1, count do
  local lead, value, at = argv[i], values[i], terms + step * (i - 1)
  if type(value) == 'string' and sub(value, 1, #lead) == lead then
    local ttl, longest, renewed = tonumber(argv[at]), tonumber(argv[at + 1]), 1
    -- What never had a longer TTL ends before the new one, or is one of those to be cut.
    local remaining = ttl < longest and pcall_('PTTL', keys[i])
    if not remaining or remaining < ttl or remaining > longest then renewed = pcall_('PEXPIRE', keys[i], ttl) end
    answers[i] = type(renewed) == 'table' and '!' .. renewed.err or 1
    failed = failed or type(renewed) == 'table'
  else
    left = left or {}
    left[#left + 1] = i
  end
end
if not left and not failed then return 1 end

${now} ${slowly}
each(left or {}, function(i)
  local key, lead, at = keys[i], argv[i], terms + step * (i - 1)
  local ttl, longest = tonumber(argv[at]), tonumber(argv[at + 1])
  if read(key) ~= 's' then return 0 end
  local owner = string.sub(lead, 20)
  local ends, held = sharer(key, owner)
  if not ends or ends < ms or string.sub(held, 1, 16) ~= string.sub(lead, 1, 16) then return 0 end
  if ends < ms + ttl or ends > ms + longest then redis.call('HSET', key, owner, string.format('%016.0f', ms + ttl) .. held) end
  keep(key, ttl)
  return 1
end)
return answers
`);

/**
 * KEYS: the records. ARGV: for each claim the token, or `-` sixteen times when only the owner counts, and `ownerText`; then the command that
 * tells of a release (PUBLISH or SPUBLISH). Answers: 1 when all are, else 1 or 0 for each. That nobody could be told does not undo a release.
 */
export const releaseScript = script(`${values}
local freed, awaited, tell = {}, nil, argv[count + 1]
for i = 1, count do
  local lead, value = argv[i], values[i]
  if type(value) == 'string' and sub(value, 1, #lead) == lead then
    freed[#freed + 1] = keys[i]
    answers[i] = 1
    if byte(value, -1) == 33 then
      awaited = awaited or {}
      awaited[#awaited + 1] = keys[i]
    end
  else
    left = left or {}
    left[#left + 1] = i
  end
end
if freed[1] then redis.call('DEL', unpack(freed)) end
for i = 1, awaited and #awaited or 0 do pcall_(tell, awaited[i], '') end
if not left then return 1 end

${now} ${slowly}
each(left, function(i)
  local key, lead = keys[i], argv[i]
  local from = string.byte(lead) == 45 and 17 or 1
  local kind, value = read(key)
  if kind == 'x' then
    if string.sub(value, from, #lead) ~= string.sub(lead, from) then return 0 end
    redis.call('DEL', key)
  else
    local owner = string.sub(lead, 20)
    local ends, held = sharer(key, owner)
    if not ends or (from == 1 and string.sub(held, 1, 16) ~= string.sub(lead, 1, 16)) then return 0 end
    redis.call('HDEL', key, owner)
    if ends < ms then return 0 end
  end
  pcall_(tell, key, '')
  return 1
end)
return answers
`);

/** KEYS: the records. Answers: the time in microseconds; then for each 0, {`x`, value, ms left} or {`s`, owner, entry, owner, entry, …}. */
export const inspectScript = script(`${now}
local answers, left = {us}, {}
for i = 2, #KEYS + 1 do left[i - 1] = i end
${slowly}
each(left, function(i)
  local key = KEYS[i - 1]
  local kind, value = read(key)
  if kind == 'x' then return {'x', value, redis.call('PTTL', key)} end
  if kind ~= 's' then return 0 end
  local all = redis.call('HGETALL', key)
  for at = 2, #all, 2 do
    if #all[at] < 32 or string.find(string.sub(all[at], 1, 32), '%D') then error('FOREIGN') end
  end
  table.insert(all, 1, 's')
  return all
end)
return answers
`);
