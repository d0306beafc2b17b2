-- Ends a job on its caller's wish. Whoever works on it is refused from now on.
-- ARGV: run, keep ms
-- Answers the fence under which its last frames may be written, or -1 where it had ended.
local run, keep = ARGV[1], ARGV[2]
local job, kept = 'hg:job:' .. run, 'hg:kept:' .. run
local now = redis.call('HMGET', job, 'state', 'fence')
if not now[1] or now[1] == 'ended' then
  return -1
end
redis.call('HSET', job, 'state', 'ended', 'cancelled', now[2])
redis.call('HDEL', job, 'work')
redis.call('SREM', 'hg:jobs:queued', run)
redis.call('SREM', 'hg:jobs:running', run)
redis.call('HSET', kept, 'state', 'broken', 'stop', '1')
redis.call('PEXPIRE', job, keep)
redis.call('PEXPIRE', kept, keep)
return redis.call('HINCRBY', job, 'fence', 1)
