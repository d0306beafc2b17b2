-- A kept run as it stands; one whose process shows no life is lost, unless the queue will start it again.
-- ARGV: run
local kept = redis.call('HMGET', 'hg:kept:' .. ARGV[1], 'about', 'state', 'request', 'head', 'body', 'owner')
if not kept[1] then
  return false
end
if kept[2] == 'running' and redis.call('EXISTS', 'hg:process:' .. kept[6], 'hg:job:' .. ARGV[1]) == 0 then
  kept[2] = 'lost'
end
return { kept[1], kept[2], kept[3], kept[4], kept[5] }
