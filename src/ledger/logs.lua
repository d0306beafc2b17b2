-- Reads sliding windows.
-- ARGV: number of windows, <length ms>|<id>...
-- Returns: {used, oldest, used, oldest...}, -1 for an empty one.
local now = clock()
local answer = {}
for i = 2, 1 + tonumber(ARGV[1]) do
  local length, id = ARGV[i]:match('^(%d+)|(.*)$')
  local used, oldest = read(parse_counter(SLIDING .. '|' .. length .. '|0|' .. id), now, { usd = 0, tokens = 0 })
  answer[#answer + 1] = used
  answer[#answer + 1] = oldest or -1
end
return answer
