-- Stands in front of every verb that changes holds. Each process numbers its writes, and the store keeps the number of
-- the newest one. Where that is lower than what the process has seen acknowledged, the store has forgotten its last
-- moments (restored from a copy, failed over to a replica that lagged), and nothing is done before they are repeated.
--
-- hg:writes:<process>  number of the newest write of that process
--
-- ARGV: epoch ('' = any), process, newest number acknowledged, number to repeat ('' = a new write), its time ms, then the
--       verb's own.
-- Returns: {word, number, now, ...}: the number is 0 where nothing was written. Instead of the verb's words 'emptied' for
--          another epoch, 'lost' with the number of the newest write the store knows, 'known' for a repeated one that is.
local epoch, writes_key, newest = ARGV[1], 'hg:writes:' .. ARGV[2], tonumber(ARGV[3])
local repeated, repeated_at = tonumber(ARGV[4]), tonumber(ARGV[5])

local stored = redis.call('MGET', 'hg:epoch', writes_key)
local written = tonumber(stored[2]) or 0
if epoch ~= '' and stored[1] ~= epoch then
  return { 'emptied', 0, 0 }
elseif not repeated and written < newest then
  return { 'lost', written, 0 }
elseif repeated and written >= repeated then
  return { 'known', written, 0 }
elseif repeated then
  redis.call('SET', writes_key, int(repeated))
end

local now = clock()

-- The number of this write, to be asked for once and only where something is written.
local function number()
  return repeated or redis.call('INCR', writes_key)
end

-- What follows sees its own arguments only.
local ARGV = { unpack(ARGV, 6) }
