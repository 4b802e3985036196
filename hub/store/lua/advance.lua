-- ADVANCE the cursor of a partition, renew its lease, count what was evaluated.
-- KEYS own ; ARGV owner, incarnation, epoch, id, number of changes (loads not counted) since the last ADVANCE, ttl ms
-- -> OK | FENCED
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local owner, incarnation, epoch, cursor = unpack(redis.call('HMGET', KEYS[1], 'owner', 'incarnation', 'epoch', 'cur'))
if owner ~= ARGV[1] or incarnation ~= ARGV[2] or epoch ~= ARGV[3] then return 'FENCED' end
if cursor ~= ARGV[4] then -- equal: run again, counted already
  redis.call('HSET', KEYS[1], 'cur', ARGV[4])
  redis.call('HINCRBY', KEYS[1], 'out', ARGV[5])
end
redis.call('HSET', KEYS[1], 'until', now + ARGV[6])
return 'OK'
