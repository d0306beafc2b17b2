-- Hands the next queued run to a process: lanes take turns, and within a lane the oldest comes first.
-- ARGV: process, lease ms, most entries to look at
-- Answers: false, or {run, fence, starts, work}
local process, lease, most = ARGV[1], ARGV[2], tonumber(ARGV[3])
redis.call('SET', 'hg:process:' .. process, '1', 'PX', lease)
for _ = 1, most do
  local first = redis.call('ZRANGE', 'hg:lanes', 0, 0)
  local lane = first[1]
  if not lane then
    return false
  end
  local run = redis.call('LPOP', 'hg:lane:' .. lane)
  if redis.call('LLEN', 'hg:lane:' .. lane) > 0 then
    redis.call('ZADD', 'hg:lanes', redis.call('INCRBY', 'hg:lanes:turn', 2), lane)
  else
    redis.call('ZREM', 'hg:lanes', lane)
  end
  local key = run and 'hg:job:' .. run
  if key and redis.call('HGET', key, 'state') == 'queued' then
    redis.call('HSET', key, 'state', 'running', 'owner', process)
    redis.call('SREM', 'hg:jobs:queued', run)
    redis.call('SADD', 'hg:jobs:running', run)
    local fence, starts = redis.call('HINCRBY', key, 'fence', 1), redis.call('HINCRBY', key, 'starts', 1)
    return { run, fence, starts, redis.call('HGET', key, 'work') }
  end
  -- One that was cancelled or deleted while it waited.
  if run then
    redis.call('SREM', 'hg:jobs:queued', run)
  end
end
return false
