-- Starts the time to live of open holds anew.
-- ARGV: ttl ms, number of runs, run...
local deadline = int(clock() + tonumber(ARGV[1]))
for i = 3, 2 + tonumber(ARGV[2]) do
  redis.call('ZADD', 'hg:deadlines', 'XX', deadline, ARGV[i])
end
