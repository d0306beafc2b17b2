-- What the ledger's scripts share. All amounts are integers below 2^53, which Lua's doubles hold exactly; they are
-- printed with int(), because tostring() would round them to 14 digits.
--
-- hg:usd:<day>:<name>        hash: s settled, h held, w waste (nano-dollars; name = scope:subject, encoded)
-- hg:usd:<day>               set: the names of that day
-- hg:req:<name>:<window ms>  sorted set of admissions: run by time
-- hg:windows                 set: <name>:<window ms>
-- hg:hold:<run>              string: state amount day;name=max ...;name:window ...   (state = open, expired, void)
-- hg:deadlines               sorted set of open holds by expiry
-- hg:sweeps                  hash: when the last sweep was, and until when nothing expires
-- One hash per counter and a string per hold, because Redis searches a larger hash field by field.
local DAY_MS = 86400000
local DAY_SECONDS = 86400

-- Adding 0 turns the -0 of a negated nothing into a 0 that Redis reads.
local function int(n)
  return string.format('%.0f', n + 0)
end

local function day_of(now)
  return math.floor(now / DAY_MS)
end

local function usd_key(day, name)
  return 'hg:usd:' .. int(day) .. ':' .. name
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

-- Keeps ai:cost:... in step: the dollars of a day under a name that people can type.
local function publish(name, day, nano)
  local scope, subject = name:match('^(%a+):(.*)$')
  local key
  if scope == 'user' then
    key = 'ai:cost:user:' .. subject .. ':' .. date(day)
  elseif scope == 'global' then
    key = 'ai:cost:global:' .. date(day)
  else
    return
  end
  redis.call('SET', key, dollars(nano), 'EX', 8 * DAY_SECONDS)
end

local function hold_key(run)
  return 'hg:hold:' .. run
end

-- Text of a hold as a table; its state is nil where there is none.
local function parse_hold(text)
  if not text then
    return {}
  end
  local state, amount, day, usd, req = text:match('^(%a+) (%d+) (%d+);([^;]*);(.*)$')
  return { state = state, amount = tonumber(amount), day = tonumber(day), usd = usd, req = req }
end

local function read_hold(run)
  return parse_hold(redis.call('GET', hold_key(run)))
end

-- An open hold stays until it ends; the others go by themselves after `seconds`.
local function write_hold(run, hold, seconds)
  local text = hold.state .. ' ' .. int(hold.amount) .. ' ' .. int(hold.day) .. ';' .. hold.usd .. ';' .. hold.req
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

-- for name, max in each_usd(hold)
local function each_usd(hold)
  return hold.usd:gmatch('([^ =]+)=(%d+)')
end

-- Settled and held, and whether the counter exists.
local function read_usd(day, name)
  local usd = redis.call('HMGET', usd_key(day, name), 's', 'h')
  return (tonumber(usd[1]) or 0) + (tonumber(usd[2]) or 0), usd[1] or usd[2]
end

local function add(day, name, field, nano)
  return redis.call('HINCRBY', usd_key(day, name), field, int(nano))
end

local function settle(day, name, nano)
  publish(name, day, add(day, name, 's', nano))
end

-- Replaces the estimated booking of an expired hold by a price.
local function correct(hold, price)
  for name in each_usd(hold) do
    if name == 'global:' then
      settle(hold.day, name, price - hold.amount)
      add(hold.day, name, 'w', -hold.amount)
    else
      settle(hold.day, name, price)
    end
  end
end

local function give_slots_back(run, hold)
  for slot in hold.req:gmatch('[^ ]+') do
    redis.call('ZREM', 'hg:req:' .. slot, run)
  end
end
