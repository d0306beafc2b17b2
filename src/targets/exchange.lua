-- Puts one replica's news of targets and keys to what the fleet knows, and tells it all.
-- ARGV: process, silence ms after which one is dead, lease of a probe ms,
--       number of subjects, (subject, succeeded 0 or 1, failures, errors that open, ms that opens for,
--                            breaker, cool, rest)...
--       number of probes under way, target..., number of probes that are over, target...
--       breaker, cool, rest: ms that are left, -1 = ended, '' = no news
-- Returns: {living processes, subject, failures, open, cool, rest, ...}, times in ms that are left, -1 = none
--
-- hg:targets         hash: <subject> -> 'failures open_until cool_until rest_until', Unix ms, 0 = none
-- hg:probe:<target>  the process that probes it
-- hg:processes       sorted set: processes by when they were last heard
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local process, silence, lease = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local at = 4
local function argument()
  at = at + 1
  return ARGV[at - 1]
end

local function int(n)
  return string.format('%.0f', n)
end

-- A time that news set or end; the later one counts, because news are told in any order.
local function moved(until_ms, news)
  if news == '' then
    return until_ms
  end
  local left = tonumber(news)
  return left < 0 and 0 or math.max(until_ms, now + left)
end

redis.call('ZADD', 'hg:processes', now, process)
redis.call('ZREMRANGEBYSCORE', 'hg:processes', '-inf', int(now - silence))

for _ = 1, tonumber(argument()) do
  local subject, succeeded, failures = argument(), argument() == '1', tonumber(argument())
  local errors, opens_for = tonumber(argument()), tonumber(argument())
  local breaker, cool, rest = argument(), argument(), argument()
  local known = redis.call('HGET', 'hg:targets', subject) or '0 0 0 0'
  local row, open_until, cool_until, rest_until = known:match('^(%d+) (%d+) (%d+) (%d+)$')
  row, open_until = tonumber(row), tonumber(open_until)
  row = (succeeded or breaker == '-1') and failures or row + failures
  open_until = moved(open_until, breaker)
  if open_until == 0 and failures > 0 and row >= errors then
    open_until = now + opens_for
  end
  local standing = { int(row), int(open_until), int(moved(tonumber(cool_until), cool)), int(moved(tonumber(rest_until), rest)) }
  redis.call('HSET', 'hg:targets', subject, table.concat(standing, ' '))
  redis.call('EXPIRE', 'hg:targets', 86400)
end

-- After the news, so that whoever probes next has heard how this probe ended.
for _ = 1, tonumber(argument()) do
  local key = 'hg:probe:' .. argument()
  if redis.call('GET', key) == process then
    redis.call('PEXPIRE', key, lease)
  end
end
for _ = 1, tonumber(argument()) do
  local key = 'hg:probe:' .. argument()
  if redis.call('GET', key) == process then
    redis.call('DEL', key)
  end
end

local answer = { redis.call('ZCARD', 'hg:processes') }
local all = redis.call('HGETALL', 'hg:targets')
for i = 1, #all, 2 do
  local row, open_until, cool_until, rest_until = all[i + 1]:match('^(%d+) (%d+) (%d+) (%d+)$')
  open_until, cool_until, rest_until = tonumber(open_until), tonumber(cool_until), tonumber(rest_until)
  answer[#answer + 1] = all[i]
  answer[#answer + 1] = row
  answer[#answer + 1] = int(open_until == 0 and -1 or math.max(0, open_until - now))
  answer[#answer + 1] = int(cool_until > now and cool_until - now or -1)
  answer[#answer + 1] = int(rest_until > now and rest_until - now or -1)
end
return answer
