-- Puts the runs of dead processes back, each in front of its lane.
-- Answers how many.
local revived = 0
for _, run in ipairs(redis.call('SMEMBERS', 'hg:jobs:running')) do
  local key = 'hg:job:' .. run
  local job = redis.call('HMGET', key, 'state', 'owner', 'lane')
  if job[1] ~= 'running' then
    redis.call('SREM', 'hg:jobs:running', run)
  elseif redis.call('EXISTS', 'hg:process:' .. job[2]) == 0 then
    redis.call('HSET', key, 'state', 'queued', 'owner', '')
    redis.call('SREM', 'hg:jobs:running', run)
    redis.call('SADD', 'hg:jobs:queued', run)
    redis.call('LPUSH', 'hg:lane:' .. job[3], run)
    redis.call('ZADD', 'hg:lanes', 'NX', tonumber(redis.call('GET', 'hg:lanes:turn') or '0') - 1, job[3])
    revived = revived + 1
  end
end
return revived
