-- Writes, to see whether writes are taken, and keeps this process's number for a week after its last sign of life.
redis.call('SET', 'hg:ping', int(now))
redis.call('EXPIRE', writes_key, 7 * DAY_SECONDS)
return { 'sound', 0, now }
