-- Ends a hold and books its price into the day of the hold.
-- ARGV: run, price
-- Returns: 'booked', 'corrected' (the hold had expired) or 'nothing'.
local run, price = ARGV[1], tonumber(ARGV[2])
local hold = read_hold(run)

if hold.state == 'open' then
  for name in each_usd(hold) do
    add(hold.day, name, 'h', -hold.amount)
    settle(hold.day, name, price)
  end
  forget(run)
  return 'booked'
end
if hold.state == 'expired' then
  correct(hold, price)
  forget(run)
  return 'corrected'
end
return 'nothing'
