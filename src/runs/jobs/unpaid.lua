-- Ended jobs whose process died before it paid, at most some of them.
-- ARGV: most
-- Answers {run, bill, run, bill, ...}
local owed = {}
for _, run in ipairs(redis.call('SRANDMEMBER', 'hg:jobs:unpaid', ARGV[1])) do
  local job = redis.call('HMGET', 'hg:job:' .. run, 'bill', 'owner')
  if not job[1] then
    redis.call('SREM', 'hg:jobs:unpaid', run)
  elseif redis.call('EXISTS', 'hg:process:' .. job[2]) == 0 then
    owed[#owed + 1] = run
    owed[#owed + 1] = job[1]
  end
end
return owed
