-- The jobs that a process is to run, as the store knows it.
-- ARGV: process
-- Answers {run, fence, run, fence, ...}
local mine = {}
for _, run in ipairs(redis.call('SMEMBERS', 'hg:jobs:running')) do
  local job = redis.call('HMGET', 'hg:job:' .. run, 'state', 'owner', 'fence')
  if job[1] == 'running' and job[2] == ARGV[1] then
    mine[#mine + 1] = run
    mine[#mine + 1] = job[3]
  end
end
return mine
