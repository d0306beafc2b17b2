-- Appends frames to the stream of a run. Entry ids carry the numbers, so they can't repeat or go back.
-- ARGV: run, number of the first frame, keep ms, fence ('' = the run is no job), frames...
-- Answers 1, 0 when frames before the first are missing, or -1 for a job whose newest fence is another.
if ARGV[4] ~= '' and redis.call('HGET', 'hg:job:' .. ARGV[1], 'fence') ~= ARGV[4] then
  return -1
end
local key = 'hg:journal:' .. ARGV[1]
local first = tonumber(ARGV[2])
local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)
local next = 0
if last[1] then
  next = tonumber(string.match(last[1][1], '^(%d+)'))
end
if next < first then
  return 0
end
for i = 5, #ARGV do
  local number = first + i - 5
  if number >= next then
    redis.call('XADD', key, string.format('%.0f-0', number + 1), 'f', ARGV[i])
  end
end
redis.call('PEXPIRE', key, ARGV[3])
return 1
