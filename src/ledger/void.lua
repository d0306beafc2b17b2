-- Gives a hold and its request slots back. Before its reserve it leaves a mark, so that the reserve takes nothing.
-- ARGV: run, seconds to keep the mark
local run, kept = ARGV[1], ARGV[2]
local hold = read_hold(run)

if hold.state == 'open' then
  for name in each_usd(hold) do
    add(hold.day, name, 'h', -hold.amount)
  end
  give_slots_back(run, hold)
  forget(run)
elseif hold.state == 'expired' then
  correct(hold, 0)
  give_slots_back(run, hold)
  forget(run)
elseif not hold.state then
  write_hold(run, { state = 'void', amount = 0, day = 0, usd = '', req = '' }, kept)
end
