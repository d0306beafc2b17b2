-- Takes a hold under every counter, or under none.
-- ARGV: epoch ('' = any), run, usd, tokens, ttl ms, days kept, number of counters, (start of the window, counter)...
-- Returns: {'held' | 'refused', now, (used, oldest, blocker)...}, each in the order asked, as before this ask;
--          {'repeated', now, usd, tokens, counters of the hold, (used, oldest, blocker)...} for a hold that is taken;
--          {'none'} for a run that has ended; {'emptied'} for another epoch; {'moved', now} where a calendar window is
--          not the one of this moment: the asker goes by another clock, or a window has just ended.
local epoch, run, ttl, kept = ARGV[1], ARGV[2], tonumber(ARGV[5]), tonumber(ARGV[6])
local ask = { state = 'open', usd = tonumber(ARGV[3]), tokens = tonumber(ARGV[4]) }

local stored = redis.call('MGET', 'hg:epoch', hold_key(run))
if epoch ~= '' and stored[1] ~= epoch then
  return { 'emptied' }
end

local now = clock()
local function append_reading(answer, counter, amount)
  local used, oldest, blocker = read(counter, now, amount)
  counter.used = used
  answer[#answer + 1] = used
  answer[#answer + 1] = oldest or -1
  answer[#answer + 1] = blocker or -1
end

local known = parse_hold(stored[2])
if known.state == 'open' then
  local answer = { 'repeated', now, known.usd, known.tokens, known.counters }
  for counter in counters_of(known) do
    append_reading(answer, counter, known)
  end
  return answer
elseif known.state then
  return { 'none' }
end

local counters, texts = {}, {}
for i = 1, tonumber(ARGV[7]) do
  local start, counter = tonumber(ARGV[6 + 2 * i]), parse_counter(ARGV[7 + 2 * i])
  if counter.ends > 0 and (now < start or now >= counter.ends) then
    return { 'moved', now }
  end
  counters[i] = counter
  texts[i] = counter.text
end

local fits = true
local answer = { 'held', now }
for _, counter in ipairs(counters) do
  append_reading(answer, counter, ask)
  fits = fits and step(counter, ask) <= counter.max - counter.used
end
if not fits then
  for _, counter in ipairs(counters) do
    if counts_refusals(counter, counter.used) then
      put(counter, run, 1, now)
      redis.call('ZREMRANGEBYRANK', log_key(counter), 0, int(-counter.max - 1))
    end
  end
  answer[1] = 'refused'
  return answer
end

for _, counter in ipairs(counters) do
  local amount = step(counter, ask)
  if counter.ends == OPEN then
    redis.call('HINCRBY', 'hg:open', counter.id, 1)
  elseif counter.ends == SLIDING then
    put(counter, run, amount, now)
  else
    add(counter, 'h', amount)
    if counter.is_new then
      redis.call('EXPIRE', sum_key(counter), int(math.ceil((counter.ends - now) / 1000) + kept * DAY_SECONDS))
      redis.call('ZADD', 'hg:sums', int(counter.ends), int(counter.ends) .. ':' .. counter.id)
    end
  end
end
ask.taken, ask.grown, ask.counters = now, now, table.concat(texts, ' ')
write_hold(run, ask)
redis.call('ZADD', 'hg:deadlines', int(now + ttl), run)
return answer
