-- What the ledger's scripts share. All amounts are integers below 2^53, which Lua's doubles hold exactly; they are
-- printed with int(), because tostring() would round them to 14 digits.
--
-- A counter has an id, <unit>:<window>:<scope>:<subject> (subject percent-encoded), and keeps
--   over a calendar window  hg:sum:<end of the window>:<id>  hash: s settled, h held, w waste
--   over a sliding window   hg:log:<id>                      sorted set: <amount>:<run> by time, never an amount of 0
--                           hg:total:<id>                    sum of those amounts; none where each is 1
--   of open runs            hg:open                          hash: runs by id
-- hg:sums         sorted set: <end>:<id> of calendar windows by their end
-- hg:logs         set: <length ms>|<id>
-- hg:hold:<run>   string: state usd tokens taken grown;counter counter...   (state = open, expired, void)
-- hg:deadlines    sorted set of open holds by expiry
-- hg:sweeps       hash: when the last sweep was, and until when nothing expires
-- In a hold and in arguments a counter is a text, <end>|<length>|<max>|<id>: the end is SLIDING or OPEN where the
-- window is no calendar one, the length is in ms. One hash per calendar window and a string per hold, because Redis
-- searches a larger hash field by field.
local SLIDING, OPEN = -1, -2
local DAY_SECONDS = 86400

-- Entries of a sliding window that are looked at to tell when an ask fits, and that one sweep removes.
local LOOKED_AT = 1000

-- Adding 0 turns the -0 of a negated nothing into a 0 that Redis reads.
local function int(n)
  return string.format('%.0f', n + 0)
end

-- Exact decimal dollars without trailing zeros: 0.0125, 5.
local function dollars(nano)
  local whole = math.floor(nano / 1e9)
  local text = int(whole) .. string.format('.%09.0f', nano - whole * 1e9)
  return (text:gsub('0+$', ''):gsub('%.$', ''))
end

-- YYYY-MM-DD of a day since 1970-01-01, by the civil-from-days algorithm: years start in March.
local function date(day)
  local z = day + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02d', year, month, doy - math.floor((153 * mp + 2) / 5) + 1)
end

-- Keeps ai:cost:... in step: the dollars of a UTC day under a name that people can type.
local function publish(counter, nano)
  local subject = counter.id:match('^usd:day:user:(.*)$')
  local key = subject and 'ai:cost:user:' .. subject or counter.id == 'usd:day:global:' and 'ai:cost:global'
  if key then
    local day = math.floor(counter.ends / 86400000) - 1
    redis.call('SET', key .. ':' .. date(day), dollars(nano), 'EX', 8 * DAY_SECONDS)
  end
end

-- Which part of an amount counts in a unit; in the others a run is one.
local AMOUNTS = { usd = 'usd', spendrate = 'usd', tokens = 'tokens' }

local function parse_counter(text)
  local ends, length, max, id = text:match('^(%-?%d+)|(%d+)|(%d+)|(.*)$')
  local unit, name = id:match('^(%l+):[^:]*:(.*)$')
  return {
    text = text,
    ends = tonumber(ends),
    length = tonumber(length),
    max = tonumber(max),
    id = id,
    unit = unit,
    name = name,
    grows = AMOUNTS[unit] ~= nil,
  }
end

-- for counter in counters_of(hold)
local function counters_of(hold)
  local next_text = hold.counters:gmatch('[^ ]+')
  return function()
    local text = next_text()
    return text and parse_counter(text)
  end
end

local function step(counter, amount)
  return counter.grows and amount[AMOUNTS[counter.unit]] or 1
end

local function is_operators(counter)
  local scope = counter.name:match('^(%l+):')
  return scope == 'global' or scope == 'tier' or scope == 'model' or scope == 'provider'
end

-- What an expired hold is charged: the operator's scopes pay for what may have been used, the caller's pay nothing.
local function at_expiry(counter, held)
  if counter.grows then
    return is_operators(counter) and held or 0
  end
  return counter.ends == OPEN and 0 or held
end

local function sum_key(counter)
  return 'hg:sum:' .. int(counter.ends) .. ':' .. counter.id
end

local function add(counter, field, amount)
  return redis.call('HINCRBY', sum_key(counter), field, int(amount))
end

local function settle(counter, amount)
  if amount ~= 0 then
    publish(counter, add(counter, 's', amount))
  end
end

local function log_key(counter)
  return 'hg:log:' .. counter.id
end

local function total_key(counter)
  return 'hg:total:' .. counter.id
end

local function put(counter, run, amount, at)
  if amount == 0 then
    return
  end
  local log = log_key(counter)
  -- A day longer than needed: this server's clock may be set.
  local kept = int(counter.length + DAY_SECONDS * 1000)
  redis.call('ZADD', log, int(at), int(amount) .. ':' .. run)
  redis.call('PEXPIRE', log, kept)
  if counter.grows then
    redis.call('INCRBY', total_key(counter), int(amount))
    redis.call('PEXPIRE', total_key(counter), kept)
  end
  -- Equal requests are in no report, and their keys go by themselves.
  if counter.unit ~= 'identical' then
    redis.call('SADD', 'hg:logs', int(counter.length) .. '|' .. counter.id)
  end
end

-- False where the window had let it go already.
local function take_out(counter, run, amount)
  if redis.call('ZREM', log_key(counter), int(amount) .. ':' .. run) == 0 then
    return false
  end
  if counter.grows then
    redis.call('DECRBY', total_key(counter), int(amount))
  end
  return true
end

-- The newest time that the window no longer counts. Times are cut to whole milliseconds: only above the window's
-- length are two surely that far apart.
local function left_at(counter, now)
  return now - counter.length - 1
end

-- Drops what the window no longer counts, `most` entries at most (all where it is nil). Returns the oldest time left.
local function trim(counter, now, most)
  local log, left = log_key(counter), left_at(counter, now)
  local oldest = redis.call('ZRANGE', log, 0, 0, 'WITHSCORES')[2]
  if not oldest or tonumber(oldest) > left then
    return tonumber(oldest)
  end
  if not counter.grows then
    redis.call('ZREMRANGEBYSCORE', log, '-inf', int(left))
  else
    repeat
      local gone = redis.call('ZRANGEBYSCORE', log, '-inf', int(left), 'LIMIT', 0, LOOKED_AT)
      local amount = 0
      for i, member in ipairs(gone) do
        amount = amount + tonumber(member:match('^%d+'))
      end
      if #gone > 0 then
        redis.call('ZREMRANGEBYRANK', log, 0, #gone - 1)
        redis.call('DECRBY', total_key(counter), int(amount))
      end
    until #gone < LOOKED_AT or most
  end
  return tonumber(redis.call('ZRANGE', log, 0, 0, 'WITHSCORES')[2])
end

local function total(counter)
  if counter.grows then
    return tonumber(redis.call('GET', total_key(counter))) or 0
  end
  return redis.call('ZCARD', log_key(counter))
end

-- When the entry was admitted that must leave, after all before it, before `excess` is gone.
local function blocker(counter, excess)
  local at
  local entries = redis.call('ZRANGE', log_key(counter), 0, LOOKED_AT - 1, 'WITHSCORES')
  for i = 1, #entries, 2 do
    excess = excess - tonumber(entries[i]:match('^%d+'))
    at = tonumber(entries[i + 1])
    if excess <= 0 then
      break
    end
  end
  return at
end

-- A loop is what goes on: an ask that this counter refuses counts as one more, so that only a pause ends it.
local function counts_refusals(counter, used)
  return counter.unit == 'identical' and used >= counter.max and counter.max > 0
end

-- Returns: used, oldest and blocking admission (nil where there is none). Notes in the counter whether it is new.
local function read(counter, now, amount)
  if counter.ends == OPEN then
    return tonumber(redis.call('HGET', 'hg:open', counter.id)) or 0
  end
  if counter.ends ~= SLIDING then
    local sum = redis.call('HMGET', sum_key(counter), 's', 'h')
    counter.is_new = not (sum[1] or sum[2])
    return (tonumber(sum[1]) or 0) + (tonumber(sum[2]) or 0)
  end
  local oldest = trim(counter, now)
  local used = oldest and total(counter) or 0
  local excess = used + step(counter, amount) - counter.max
  if counts_refusals(counter, used) then
    excess = excess + 1
  end
  if excess > 0 and excess <= used then
    return used, oldest, blocker(counter, excess)
  end
  return used, oldest
end

-- Replaces one amount of a run in a sliding window by another.
local function replace(counter, run, since, now, from, to)
  if from == to or (from > 0 and not take_out(counter, run, from)) then
    return
  end
  if since > left_at(counter, now) then
    put(counter, run, to, since)
  end
end

-- Since when a sliding window counts this hold.
local function since(counter, hold)
  return counter.grows and hold.grown or hold.taken
end

-- Replaces what an open hold keeps in this counter by a charge.
local function release(counter, run, hold, now, charge)
  local held = step(counter, hold)
  if counter.ends == OPEN then
    if redis.call('HINCRBY', 'hg:open', counter.id, -1) <= 0 then
      redis.call('HDEL', 'hg:open', counter.id)
    end
  elseif counter.ends == SLIDING then
    replace(counter, run, since(counter, hold), now, held, charge)
  else
    add(counter, 'h', -held)
    settle(counter, charge)
  end
end

-- Replaces what an expired hold was charged in this counter by a charge.
local function correct(counter, run, hold, now, charge)
  local booked = at_expiry(counter, step(counter, hold))
  if counter.ends == SLIDING then
    replace(counter, run, since(counter, hold), now, booked, charge)
  elseif counter.ends ~= OPEN then
    settle(counter, charge - booked)
    if counter.grows and booked > 0 then
      add(counter, 'w', -booked)
    end
  end
end

local function hold_key(run)
  return 'hg:hold:' .. run
end

-- Text of a hold as a table; its state is nil where there is none.
local function parse_hold(text)
  if not text then
    return {}
  end
  local state, usd, tokens, taken, grown, counters = text:match('^(%l+) (%d+) (%d+) (%d+) (%d+);(.*)$')
  return {
    state = state,
    usd = tonumber(usd),
    tokens = tonumber(tokens),
    taken = tonumber(taken),
    grown = tonumber(grown),
    counters = counters,
  }
end

local function read_hold(run)
  return parse_hold(redis.call('GET', hold_key(run)))
end

-- An open hold stays until it ends; the others go by themselves after `seconds`.
local function write_hold(run, hold, seconds)
  local numbers = { hold.state, int(hold.usd), int(hold.tokens), int(hold.taken), int(hold.grown) }
  local text = table.concat(numbers, ' ') .. ';' .. hold.counters
  if seconds then
    redis.call('SET', hold_key(run), text, 'EX', seconds)
  else
    redis.call('SET', hold_key(run), text)
  end
end

local function forget(run)
  redis.call('DEL', hold_key(run))
  redis.call('ZREM', 'hg:deadlines', run)
end
