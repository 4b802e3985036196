-- OWN the evaluation of a partition, or renew it.
-- KEYS own ; ARGV owner, incarnation (one life of the owner), ttl ms
-- -> {epoch, cursor}, epoch 0 when another holds it
-- A new incarnation of the same owner takes over at once: its former self is fenced by the higher epoch.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local owner, incarnation, epoch, till, cursor = unpack(redis.call('HMGET', KEYS[1], 'owner', 'incarnation', 'epoch', 'until', 'cur'))
if owner == ARGV[1] and incarnation == ARGV[2] then -- late or not: as long as nobody took it, its work stands
  redis.call('HSET', KEYS[1], 'until', now + ARGV[3])
  return {tonumber(epoch), cursor or '0-0'}
end
if owner and owner ~= ARGV[1] and tonumber(till) > now then return {0, cursor or '0-0'} end
epoch = redis.call('HINCRBY', KEYS[1], 'epoch', 1)
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'incarnation', ARGV[2], 'until', now + ARGV[3])
return {epoch, cursor or '0-0'}
