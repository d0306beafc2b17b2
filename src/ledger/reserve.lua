-- Takes a hold under every counter, or under none.
-- ARGV: run, usd, tokens, ttl ms, days kept, 'whatever' the counters say or '', number of counters, (start of the window, counter)...
-- Returns, behind the number and the time: 'held' or 'refused', (used, oldest, blocker)... in the order asked, as before
--          this ask; 'repeated', usd, tokens, counters of the hold, (used, oldest, blocker)... for a hold that is taken;
--          'none' for a run that has ended; 'moved' where a calendar window is not the one of this moment: the asker goes by
--          another clock, or a window has just ended.
-- A repeated write takes its hold whatever the counters say: it was admitted, and its price may be owed.
local run, ttl, kept = ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[5])
local whatever = repeated or ARGV[6] == 'whatever'
local ask = { state = 'open', usd = tonumber(ARGV[2]), tokens = tonumber(ARGV[3]) }

local function append_reading(answer, counter, amount)
  local used, oldest, blocker = read(counter, now, amount)
  counter.used = used
  answer[#answer + 1] = used
  answer[#answer + 1] = oldest or -1
  answer[#answer + 1] = blocker or -1
end

local known = read_hold(run)
if known.state == 'open' then
  local answer = { 'repeated', 0, now, known.usd, known.tokens, known.counters }
  for counter in counters_of(known) do
    append_reading(answer, counter, known)
  end
  return answer
elseif known.state then
  return { 'none', 0, now }
end

local counters, texts = {}, {}
for i = 1, tonumber(ARGV[7]) do
  local start, counter = tonumber(ARGV[6 + 2 * i]), parse_counter(ARGV[7 + 2 * i])
  if not whatever and counter.ends > 0 and (now < start or now >= counter.ends) then
    return { 'moved', 0, now }
  end
  counters[i] = counter
  texts[i] = counter.text
end

local fits = true
local answer = { 'held', 0, now }
for _, counter in ipairs(counters) do
  append_reading(answer, counter, ask)
  fits = fits and step(counter, ask) <= counter.max - counter.used
end
if not fits and not whatever then
  for _, counter in ipairs(counters) do
    if counts_refusals(counter, counter.used) then
      put(counter, run, 1, now)
      redis.call('ZREMRANGEBYRANK', log_key(counter), 0, int(-counter.max - 1))
    end
  end
  answer[1] = 'refused'
  return answer
end

local since = repeated_at or now
answer[2] = number()
for _, counter in ipairs(counters) do
  local amount = step(counter, ask)
  if counter.ends == OPEN then
    redis.call('HINCRBY', 'hg:open', counter.id, 1)
  elseif counter.ends == SLIDING then
    put(counter, run, amount, since)
  else
    add(counter, 'h', amount)
    if counter.is_new then
      redis.call('EXPIRE', sum_key(counter), int(math.max(0, math.ceil((counter.ends - now) / 1000)) + kept * DAY_SECONDS))
      redis.call('ZADD', 'hg:sums', int(counter.ends), int(counter.ends) .. ':' .. counter.id)
    end
  end
end
ask.taken, ask.grown, ask.counters = since, since, table.concat(texts, ' ')
write_hold(run, ask)
redis.call('ZADD', 'hg:deadlines', int(now + ttl), run)
return answer
