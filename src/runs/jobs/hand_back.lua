-- Puts a run back that its process gives up in good order: that start does not count.
-- ARGV: run, fence
local run, fence = ARGV[1], ARGV[2]
local key = 'hg:job:' .. run
local job = redis.call('HMGET', key, 'state', 'fence', 'lane')
if job[1] ~= 'running' or job[2] ~= fence then
  return 0
end
redis.call('HSET', key, 'state', 'queued', 'owner', '')
redis.call('HINCRBY', key, 'starts', -1)
redis.call('SREM', 'hg:jobs:running', run)
redis.call('SADD', 'hg:jobs:queued', run)
redis.call('LPUSH', 'hg:lane:' .. job[3], run)
redis.call('ZADD', 'hg:lanes', 'NX', tonumber(redis.call('GET', 'hg:lanes:turn') or '0') - 1, job[3])
return 1
