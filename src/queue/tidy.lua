-- Removes what apalis keeps of tickets that were used, at most some of them.
-- ARGV: queue, most
local queue, most = ARGV[1], tonumber(ARGV[2])
local removed = 0
for _, set in ipairs({ ':done', ':failed', ':dead' }) do
  local kind = redis.call('TYPE', queue .. set).ok
  local ids = {}
  if kind == 'zset' then
    ids = redis.call('ZRANGE', queue .. set, 0, most - 1)
  elseif kind == 'set' then
    ids = redis.call('SRANDMEMBER', queue .. set, most)
  end
  for _, id in ipairs(ids) do
    redis.call('HDEL', queue .. ':data', id)
    redis.call('DEL', queue .. ':meta:' .. id)
    redis.call(kind == 'zset' and 'ZREM' or 'SREM', queue .. set, id)
    removed = removed + 1
  end
end
return removed
