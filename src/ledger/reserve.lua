-- Takes a hold under every counter, or under none.
-- ARGV: epoch ('' = any), run, amount, ttl ms, days kept,
--       number of dollar counters, (name, max)..., number of windows, (name, window ms, max)...
-- Returns: {'held' | 'repeated' | 'refused', now, day, used..., (used, oldest, blocker)...}, each in the order asked,
--          as before this ask; {'none'} for a run that has ended; {'emptied'} for another epoch.
local epoch, run, amount, ttl, kept = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

local stored = redis.call('MGET', 'hg:epoch', hold_key(run))
if epoch ~= '' and stored[1] ~= epoch then
  return { 'emptied' }
end

local now = clock()
local day = day_of(now)
local known = parse_hold(stored[2])
if known.state == 'open' then
  day = known.day
elseif known.state then
  return { 'none' }
end

local usd, at = {}, 7
for i = 1, tonumber(ARGV[6]) do
  usd[i] = { name = ARGV[at], max = tonumber(ARGV[at + 1]) }
  at = at + 2
end
local windows = {}
local first = at + 1
for i = 1, tonumber(ARGV[at]) do
  windows[i] = { name = ARGV[first], ms = tonumber(ARGV[first + 1]), max = tonumber(ARGV[first + 2]) }
  first = first + 3
end

local fits = true
local answer = { 'held', now, day }

for _, counter in ipairs(usd) do
  local used, exists = read_usd(day, counter.name)
  counter.is_new = not exists
  fits = fits and amount <= counter.max - used
  answer[#answer + 1] = used
end

for _, window in ipairs(windows) do
  window.key = 'hg:req:' .. window.name .. ':' .. int(window.ms)
  local oldest = redis.call('ZRANGE', window.key, 0, 0, 'WITHSCORES')
  -- Times are cut to whole milliseconds: only above the window's length are two surely that far apart.
  local left = now - window.ms - 1
  if oldest[2] and tonumber(oldest[2]) <= left then
    redis.call('ZREMRANGEBYSCORE', window.key, '-inf', int(left))
    oldest = redis.call('ZRANGE', window.key, 0, 0, 'WITHSCORES')
  end
  local used = oldest[2] and redis.call('ZCARD', window.key) or 0
  local blocker = {}
  if used >= window.max and window.max > 0 then
    local position = int(used - window.max)
    blocker = redis.call('ZRANGE', window.key, position, position, 'WITHSCORES')
  end
  fits = fits and used < window.max
  window.used = used
  answer[#answer + 1] = used
  answer[#answer + 1] = tonumber(oldest[2]) or -1
  answer[#answer + 1] = tonumber(blocker[2]) or -1
end

if known.state then
  answer[1] = 'repeated'
  return answer
end
if not fits then
  answer[1] = 'refused'
  return answer
end

local names, slots = {}, {}
for i, counter in ipairs(usd) do
  add(day, counter.name, 'h', amount)
  if counter.is_new then
    redis.call('EXPIRE', usd_key(day, counter.name), (kept + 1) * DAY_SECONDS)
    redis.call('SADD', 'hg:usd:' .. int(day), counter.name)
    redis.call('EXPIRE', 'hg:usd:' .. int(day), (kept + 1) * DAY_SECONDS)
  end
  names[i] = counter.name .. '=' .. int(counter.max)
end
for i, window in ipairs(windows) do
  slots[i] = window.name .. ':' .. int(window.ms)
  redis.call('ZADD', window.key, int(now), run)
  redis.call('PEXPIRE', window.key, int(window.ms + DAY_MS))
  if window.used == 0 then
    redis.call('SADD', 'hg:windows', slots[i])
  end
end
write_hold(run, {
  state = 'open', amount = amount, day = day, usd = table.concat(names, ' '), req = table.concat(slots, ' '),
})
redis.call('ZADD', 'hg:deadlines', int(now + ttl), run)
return answer
