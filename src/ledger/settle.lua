-- Ends a hold and books its bill into the windows of the hold.
-- ARGV: run, usd, tokens, number of targets, (scope:subject, usd, tokens)... for each model and provider called
-- Returns, in front of the number and the time: 'booked', 'corrected' (the hold had expired) or 'nothing'.
local run = ARGV[1]
local hold = read_hold(run)
if hold.state ~= 'open' and hold.state ~= 'expired' then
  return { 'nothing', 0, now }
end

local bill, parts = { usd = tonumber(ARGV[2]), tokens = tonumber(ARGV[3]) }, {}
for i = 1, tonumber(ARGV[4]) do
  local at = 2 + 3 * i
  parts[ARGV[at]] = { usd = tonumber(ARGV[at + 1]), tokens = tonumber(ARGV[at + 2]) }
end

local end_in = hold.state == 'open' and release or correct
for counter in counters_of(hold) do
  local scope = counter.name:match('^(%l+):')
  local part = bill
  if scope == 'model' or scope == 'provider' then
    part = parts[counter.name]
  end
  end_in(counter, run, hold, now, part and step(counter, part) or 0)
end
forget(run)
return { hold.state == 'open' and 'booked' or 'corrected', number(), now }
