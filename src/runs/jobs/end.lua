-- Ends a job under its newest fence: its answer is what is kept of it now, and what it owes is noted.
-- ARGV: run, fence, state of the kept run, bill ('' = owes nothing), keep ms
-- Answers 1, or 0 for an older fence.
local run, fence, state, bill, keep = unpack(ARGV)
local job, kept = 'hg:job:' .. run, 'hg:kept:' .. run
local now = redis.call('HMGET', job, 'fence', 'state')
if now[1] ~= fence or now[2] == 'queued' then
  return 0
end
if now[2] == 'running' then
  redis.call('HSET', job, 'state', 'ended')
  redis.call('HDEL', job, 'work')
  redis.call('SREM', 'hg:jobs:running', run)
  if bill ~= '' then
    redis.call('HSET', job, 'bill', bill)
    redis.call('SADD', 'hg:jobs:unpaid', run)
  end
  redis.call('HSET', kept, 'state', state)
  redis.call('PEXPIRE', job, keep)
  redis.call('PEXPIRE', kept, keep)
end
return 1
