-- Sets fields of a kept run, if it is still kept: a late write must not bring back a half of one that was deleted.
-- A state only moves on from 'running'.
-- ARGV: run, then pairs of field and value
local key = 'hg:kept:' .. ARGV[1]
local state = redis.call('HGET', key, 'state')
if not state then
  return 0
end
for i = 2, #ARGV, 2 do
  if ARGV[i] ~= 'state' or state == 'running' then
    redis.call('HSET', key, ARGV[i], ARGV[i + 1])
  end
end
return 1
