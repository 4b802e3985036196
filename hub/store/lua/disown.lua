-- DISOWN a partition at a clean stop, so that the next owner need not wait for the lease.
-- KEYS own ; ARGV owner, incarnation, epoch -> 1 | 0
local owner, incarnation, epoch = unpack(redis.call('HMGET', KEYS[1], 'owner', 'incarnation', 'epoch'))
if owner ~= ARGV[1] or incarnation ~= ARGV[2] or epoch ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], 'until', 0)
return 1
