-- Enlarges an open hold under its own counters of dollars and tokens, all or nothing.
-- ARGV: run, more usd, more tokens
-- Returns, behind the number and the time: 'held' or 'refused', counters of the hold, (used, oldest, blocker)... as before,
--          the readings of those counters that grow; 'none' without an open hold.
local run, more = ARGV[1], { usd = tonumber(ARGV[2]), tokens = tonumber(ARGV[3]) }
local hold = read_hold(run)
if hold.state ~= 'open' then
  return { 'none', 0, now }
end

local answer = { 'held', 0, now, hold.counters }
local growing = {}
local fits = true
for counter in counters_of(hold) do
  if counter.grows then
    local used, oldest, blocker = read(counter, now, more)
    local held = step(counter, hold)
    -- What a sliding window has let go comes back with the extension.
    local member = int(held) .. ':' .. run
    if counter.ends == SLIDING and held > 0 and not redis.call('ZSCORE', log_key(counter), member) then
      used = used + held
    end
    fits = fits and step(counter, more) <= counter.max - used
    growing[#growing + 1] = counter
    answer[#answer + 1] = used
    answer[#answer + 1] = oldest or -1
    answer[#answer + 1] = blocker or -1
  end
end
if not fits and not repeated then
  answer[1] = 'refused'
  return answer
end

local grown = repeated_at or now
answer[2] = number()
for _, counter in ipairs(growing) do
  local held = step(counter, hold)
  if counter.ends == SLIDING then
    take_out(counter, run, held)
    put(counter, run, held + step(counter, more), grown)
  else
    add(counter, 'h', step(counter, more))
  end
end
hold.usd, hold.tokens, hold.grown = hold.usd + more.usd, hold.tokens + more.tokens, grown
write_hold(run, hold)
return answer
