-- Returns: {now, number of open holds}
return { clock(), redis.call('ZCARD', 'hg:deadlines') }
