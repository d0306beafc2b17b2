-- Enlarges an open hold under its own dollar counters, all or nothing.
-- ARGV: run, more
-- Returns: {'held' | 'refused', now, day, counters as in the hold, used...} as before; {'none'} without an open hold.
local run, more = ARGV[1], tonumber(ARGV[2])
local hold = read_hold(run)
if hold.state ~= 'open' then
  return { 'none' }
end

local answer = { 'held', clock(), hold.day, hold.usd }
local fits = true
for name, max in each_usd(hold) do
  local used = read_usd(hold.day, name)
  fits = fits and more <= tonumber(max) - used
  answer[#answer + 1] = used
end
if not fits then
  answer[1] = 'refused'
  return answer
end

for name in each_usd(hold) do
  add(hold.day, name, 'h', more)
end
hold.amount = hold.amount + more
write_hold(run, hold)
return answer
