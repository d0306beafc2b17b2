-- Ends open holds that nobody renewed. The caller's scopes pay nothing, the operator's the whole hold, as waste.
-- ARGV: longest gap between sweeps ms, grace ms, most holds to end, seconds to keep them
-- Returns: {run, amount, run, amount, ...}
local gap, grace, most, kept = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
local now = clock()

-- After a gap between sweeps (an outage of this server, a step of its clock) living processes renew first. A second
-- gap in a row is no reason to wait again: who always sweeps too rarely must still end what is dead.
local swept = redis.call('HMGET', 'hg:sweeps', 'last', 'grace_until')
local last, grace_until = tonumber(swept[1]), tonumber(swept[2])
redis.call('HSET', 'hg:sweeps', 'last', int(now))
if grace_until then
  if now < grace_until then
    return {}
  end
  redis.call('HDEL', 'hg:sweeps', 'grace_until')
elseif last and now - last > gap then
  redis.call('HSET', 'hg:sweeps', 'grace_until', int(now + grace))
  return {}
end

local ended = {}
for _, run in ipairs(redis.call('ZRANGEBYSCORE', 'hg:deadlines', '-inf', int(now), 'LIMIT', 0, most)) do
  local hold = read_hold(run)
  for counter in counters_of(hold) do
    local booked = at_expiry(counter, step(counter, hold))
    release(counter, run, hold, now, booked)
    if counter.grows and booked > 0 and counter.ends > 0 then
      add(counter, 'w', booked)
    end
  end
  hold.state = 'expired'
  write_hold(run, hold, kept)
  redis.call('ZREM', 'hg:deadlines', run)
  ended[#ended + 1] = run
  ended[#ended + 1] = int(hold.usd)
end

-- A few names of windows that are gone, so that the lists of names do not grow with every user ever seen.
local over = redis.call('ZRANGEBYSCORE', 'hg:sums', '-inf', int(now), 'LIMIT', 0, LOOKED_AT)
if #over > 0 then
  redis.call('ZREM', 'hg:sums', unpack(over))
end
for _, name in ipairs(redis.call('SRANDMEMBER', 'hg:logs', 20)) do
  local length, id = name:match('^(%d+)|(.*)$')
  if not trim(parse_counter(SLIDING .. '|' .. length .. '|0|' .. id), now, LOOKED_AT) then
    redis.call('SREM', 'hg:logs', name)
    redis.call('DEL', 'hg:total:' .. id)
  end
end
return ended
