-- ADVANCE the cursor of a partition, renew its lease, count what was evaluated.
-- KEYS own ; ARGV owner, incarnation, epoch, id, number of changes (loads not counted) since the last ADVANCE, ttl ms
-- -> OK | FENCED
-- Run again, or overtaken by a later one, it moves and counts nothing: the cursor never goes back.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local owner, incarnation, epoch, cursor = unpack(redis.call('HMGET', KEYS[1], 'owner', 'incarnation', 'epoch', 'cur'))
if owner ~= ARGV[1] or incarnation ~= ARGV[2] or epoch ~= ARGV[3] then return 'FENCED' end
local function parts(id) local ms, seq = string.match(id, '(%d+)-(%d+)') return tonumber(ms), tonumber(seq) end
local function after(id, other)
  local ms, seq = parts(id)
  local other_ms, other_seq = parts(other or '0-0')
  return ms > other_ms or (ms == other_ms and seq > other_seq)
end
if after(ARGV[4], cursor) then
  redis.call('HSET', KEYS[1], 'cur', ARGV[4])
  redis.call('HINCRBY', KEYS[1], 'out', ARGV[5])
end
redis.call('HSET', KEYS[1], 'until', now + ARGV[6])
return 'OK'
