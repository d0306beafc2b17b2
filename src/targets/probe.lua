-- Asks for the one probe of a half-open breaker.
-- ARGV: target, process, lease ms
-- Returns: {'yours'}, {'taken'}, {'closed'}, or {'open', ms that are left}
local target, process, lease = ARGV[1], ARGV[2], ARGV[3]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local known = redis.call('HGET', 'hg:targets', 'target:' .. target)
if known then
  local open_until = tonumber(known:match('^%d+ (%d+)'))
  if open_until == 0 then
    return { 'closed' }
  elseif open_until > now then
    return { 'open', string.format('%.0f', open_until - now) }
  end
end
if redis.call('SET', 'hg:probe:' .. target, process, 'NX', 'PX', lease) then
  return { 'yours' }
end
return { 'taken' }
