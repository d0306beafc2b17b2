-- Ends open holds that nobody renewed. The caller's scopes pay nothing, the global scope the whole hold, as waste.
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
  for name in each_usd(hold) do
    add(hold.day, name, 'h', -hold.amount)
    if name == 'global:' then
      settle(hold.day, name, hold.amount)
      add(hold.day, name, 'w', hold.amount)
    end
  end
  hold.state = 'expired'
  write_hold(run, hold, kept)
  redis.call('ZREM', 'hg:deadlines', run)
  ended[#ended + 1] = run
  ended[#ended + 1] = int(hold.amount)
end

-- A few names of windows that are gone, so that the list of names does not grow with every user ever seen.
for _, name in ipairs(redis.call('SRANDMEMBER', 'hg:windows', 20)) do
  if redis.call('EXISTS', 'hg:req:' .. name) == 0 then
    redis.call('SREM', 'hg:windows', name)
  end
end
return ended
