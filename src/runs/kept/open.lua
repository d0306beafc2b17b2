-- Keeps a run that starts, with its claim and its name, all or nothing.
-- ARGV: run, about, owner, request, keep ms, lease ms, claim ('' = none), sha256 of the body, name ('' = none)
-- Answers: 'new', 'other', or the run that holds the claim.
local run, about, owner, request, keep, lease, claim, body, name = unpack(ARGV)

redis.call('SET', 'hg:process:' .. owner, '1', 'PX', lease)
if claim ~= '' then
  local held = redis.call('HMGET', 'hg:name:' .. claim, 'run', 'body')
  if held[1] then
    local holder = redis.call('HMGET', 'hg:kept:' .. held[1], 'state', 'owner')
    local alive = holder[1] == 'whole'
      or (holder[1] == 'running' and redis.call('EXISTS', 'hg:process:' .. holder[2]) == 1)
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
redis.call('PEXPIRE', 'hg:kept:' .. run, keep)
return 'new'
