-- Gives a hold and its requests back. Before its reserve it leaves a mark, so that the reserve takes nothing.
-- ARGV: run, seconds to keep the mark
-- Returns, in front of the number and the time: 'voided', or 'nothing' where nothing changed.
local run, kept = ARGV[1], ARGV[2]
local hold = read_hold(run)

if hold.state == 'open' or hold.state == 'expired' then
  local end_in = hold.state == 'open' and release or correct
  for counter in counters_of(hold) do
    end_in(counter, run, hold, now, 0)
  end
  forget(run)
elseif hold.state then
  return { 'nothing', 0, now }
else
  write_hold(run, { state = 'void', usd = 0, tokens = 0, taken = 0, grown = 0, counters = '' }, kept)
end
return { 'voided', number(), now }
