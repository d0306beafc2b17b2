-- Keeps a run that starts, with its claim, its name and its place in the queue, all or nothing.
-- ARGV: run, about, owner, request, keep ms, lease ms, claim ('' = none), sha256 of the body, name ('' = none),
--       lane ('' = a connection owns it), head ('' = none yet), work ('' = the request itself)
-- Answers: 'new', 'other', or the run that holds the claim.
local run, about, owner, request, keep, lease, claim, body, name, lane, head, work = unpack(ARGV)

redis.call('SET', 'hg:process:' .. owner, '1', 'PX', lease)
if claim ~= '' then
  local held = redis.call('HMGET', 'hg:name:' .. claim, 'run', 'body')
  if held[1] then
    local holder = redis.call('HMGET', 'hg:kept:' .. held[1], 'state', 'owner')
    local alive = holder[1] == 'whole'
      or (holder[1] == 'running' and (redis.call('EXISTS', 'hg:process:' .. holder[2], 'hg:job:' .. held[1]) > 0))
    if alive then
      if held[2] ~= body then
        return 'other'
      end
      return held[1]
    end
  end
  redis.call('HSET', 'hg:name:' .. claim, 'run', run, 'body', body)
  redis.call('PEXPIRE', 'hg:name:' .. claim, keep)
end
if name ~= '' then
  redis.call('DEL', 'hg:name:' .. name)
  redis.call('HSET', 'hg:name:' .. name, 'run', run)
  redis.call('PEXPIRE', 'hg:name:' .. name, keep)
end
redis.call('HSET', 'hg:kept:' .. run, 'about', about, 'owner', owner, 'state', 'running', 'request', request)
if head ~= '' then
  redis.call('HSET', 'hg:kept:' .. run, 'head', head)
end
if lane == '' then
  redis.call('PEXPIRE', 'hg:kept:' .. run, keep)
  return 'new'
end

-- A job is kept until it has ended, and `keep` from then on. Asked a second time, it keeps the place it has.
if redis.call('HSETNX', 'hg:job:' .. run, 'state', 'queued') == 1 then
  redis.call('HSET', 'hg:job:' .. run, 'lane', lane, 'owner', '', 'fence', 0, 'starts', 0)
  if work ~= '' then
    redis.call('HSET', 'hg:job:' .. run, 'work', work)
  end
  redis.call('RPUSH', 'hg:lane:' .. lane, run)
  redis.call('SADD', 'hg:jobs:queued', run)
  -- A lane that comes back goes before the one that was served last, and behind all that wait for longer.
  local turn = tonumber(redis.call('GET', 'hg:lanes:turn') or '0')
  redis.call('ZADD', 'hg:lanes', 'NX', turn - 1, lane)
end
return 'new'
