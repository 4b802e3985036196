-- LIVE: a process says that it lives and which attempts it has begun, and hears of the others.
-- KEYS live, begun ; ARGV owner, first (1 = it begins its life), its sign, then of each attempt in flight: 'fence name'
-- -> {1 when it was taken for dead since it last said so, owner, sign, owner, sign, ...}
-- A sign is only ever compared for being another one; x before it: INHERIT is at work.
local before = redis.call('HGET', KEYS[1], ARGV[1])
local thought_dead = ARGV[2] ~= '1' and (not before or string.sub(before, 1, 1) == 'x')
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
if #ARGV > 3 then redis.call('HSET', KEYS[2], ARGV[1], table.concat(ARGV, '\n', 4)) else redis.call('HDEL', KEYS[2], ARGV[1]) end
return {thought_dead and 1 or 0, unpack(redis.call('HGETALL', KEYS[1]))}
