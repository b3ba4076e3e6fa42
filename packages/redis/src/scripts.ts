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
  if not string.find(value, '^%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d') then error('FOREIGN') end
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
 * KEYS: the counter, then the records. ARGV for each claim: `ownerText`; the TTL; `x`, `s`, or `s` and the limit, then the metadata after a `+`.
 * Answers: when all are granted, one text of all tokens, 16 digits each. Otherwise the time in microseconds, then for each claim the token, or
 * {ms until it may succeed or -1, `x`, value} or {ms, `s`, owner, entry}, which is one of those in the way.
 * As many tokens as there are claims are taken from the counter at once: a gap does no harm, and a server that refuses writes says so first.
 */
export const acquireScript = script(`
local time = redis.call('TIME')
local keys, argv, byte, sub, format, pcall_ = KEYS, ARGV, string.byte, string.sub, string.format, redis.pcall
local count = #keys - 1
-- The tokens that follow the time, as text: the seconds stay, which spares formatting sixteen digits for each.
local head, before = time[1], time[2] - 1
local final = head .. format('%06d', before + count)
local stored = redis.call('SET', keys[1], final, 'GET')
local base
if #final ~= 16 or (stored and (#stored ~= 16 or stored >= head .. format('%06d', before + 1))) then
  -- The microseconds run into the next second, or the counter is ahead of the clock.
  local last = tonumber(stored or 0)
  if not last or last + count >= 9007199254740991 then
    redis.call('SET', keys[1], stored)
    return redis.error_reply(last and 'EXHAUSTED tokens' or 'FOREIGN counter')
  end
  base = math.max(last, time[1] * 1000000 + time[2] - 1)
  redis.call('SET', keys[1], format('%016.0f', base + count))
end

local answers, left = {}, nil
for i = 1, count do
  local at = 3 * i - 2
  local how = argv[at + 2]
  if byte(how) == 120 then
    local token = base and format('%016.0f', base + i) or count == 1 and final or head .. format('%06d', before + i)
    local set = pcall_('SET', keys[i + 1], token .. argv[at] .. sub(how, 2), 'PX', argv[at + 1], 'NX')
    if set then answers[i] = set.ok and token or '!' .. set.err end
  end
  if not answers[i] then
    left = left or {}
    left[#left + 1] = i
  end
end
if not left then return table.concat(answers) end

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

each(left, function(i)
  local key, at = keys[i + 1], 3 * i - 2
  local named, ttl = argv[at], tonumber(argv[at + 1])
  local mode, limit, metadata = string.match(argv[at + 2], '^([xs])(%d*)(.*)$')
  local kind, value = read(key)
  if kind == 'x' then
    if mode == 'x' and string.sub(value, 17, 16 + #named) == named then
      keep(key, ttl)
      return string.sub(value, 1, 16)
    end
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

/**
 * KEYS: the records. ARGV for each claim: the token and `ownerText`, the TTL, the longest TTL it ever had. Answers: 1 when all are, else 1 or 0 for
 * each. A lease that outlasts its longest TTL is one of a server whose clock stepped back: it is cut to what was asked for.
 */
export const extendScript = script(`
local keys, argv, sub, pcall_ = KEYS, ARGV, string.sub, redis.pcall
local answers, left, all = {}, nil, true
for i = 1, #keys do
  local key, at = keys[i], 3 * i - 2
  local value, lead = pcall_('GET', key), argv[at]
  if not value then
    all, answers[i] = false, 0
  elseif type(value) == 'string' and sub(value, 1, #lead) == lead then
    local remaining, ttl, renewed = pcall_('PTTL', key), tonumber(argv[at + 1]), 1
    if remaining < ttl or remaining > tonumber(argv[at + 2]) then renewed = pcall_('PEXPIRE', key, ttl) end
    if type(renewed) == 'table' then
      all, answers[i] = false, '!' .. renewed.err
    else
      answers[i] = 1
    end
  else
    left = left or {}
    left[#left + 1] = i
  end
end
if all and not left then return 1 end

if left then
  ${now} ${slowly}
  each(left, function(i)
    local key, lead, ttl, longest = KEYS[i], ARGV[3 * i - 2], tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
    if read(key) ~= 's' then return 0 end
    local owner = string.sub(lead, 20)
    local ends, held = sharer(key, owner)
    if not ends or ends < ms or string.sub(held, 1, 16) ~= string.sub(lead, 1, 16) then return 0 end
    if ends < ms + ttl or ends > ms + longest then redis.call('HSET', key, owner, string.format('%016.0f', ms + ttl) .. held) end
    keep(key, ttl)
    return 1
  end)
end
return answers
`);

/**
 * KEYS: the records. ARGV: the command that tells of a release (PUBLISH or SPUBLISH); then for each claim the token, or `-` sixteen times
 * when only the owner counts, and `ownerText`. Answers: 1 when all are, else 1 or 0 for each. That nobody could be told does not undo a release.
 */
export const releaseScript = script(`
local keys, argv, sub, pcall_ = KEYS, ARGV, string.sub, redis.pcall
local answers, left, all = {}, nil, true
for i = 1, #keys do
  local key, lead = keys[i], argv[i + 1]
  local value = pcall_('GET', key)
  if not value then
    all, answers[i] = false, 0
  elseif type(value) == 'string' and sub(value, 1, #lead) == lead then
    local deleted = pcall_('DEL', key)
    if type(deleted) == 'table' then
      all, answers[i] = false, '!' .. deleted.err
    else
      pcall_(argv[1], key, '')
      answers[i] = 1
    end
  else
    left = left or {}
    left[#left + 1] = i
  end
end
if all and not left then return 1 end

if left then
  ${now} ${slowly}
  each(left, function(i)
    local key, lead = KEYS[i], ARGV[i + 1]
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
    redis.pcall(ARGV[1], key, '')
    return 1
  end)
end
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
