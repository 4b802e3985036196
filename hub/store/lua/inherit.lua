-- INHERIT: a process that gives no sign of life is taken for dead; what it held without having begun is free for the others.
-- KEYS due, m, live, begun ; ARGV owner, its sign as it was seen, first place, most
-- -> {places looked at, Subscriptions freed} | {-1, 0} it has given another sign, or another process was quicker
-- What it had begun stays its own until the lease ends: it may be slow, not dead. Called again from the next place on with
-- the sign marked by x, until fewer places than most are looked at; whoever comes back meanwhile ends it by a sign of its own.
local owner, sign = ARGV[1], ARGV[2]
if redis.call('HGET', KEYS[3], owner) ~= sign then return {-1, 0} end
local begun = {}
for fence, name in string.gmatch(redis.call('HGET', KEYS[4], owner) or '', '(%d+) ([^\n]+)') do begun[name] = tonumber(fence) end
local due = redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf', 'LIMIT', ARGV[3], ARGV[4]) -- the agenda has it at the end of its lease
local raw = #due > 0 and redis.call('HMGET', KEYS[2], unpack(due)) or {}
local changed, freed = {}, 0
for x, sub in ipairs(due) do
  local m = read_record(raw[x])
  if m and m[LEASE] > 0 and m[OWNER] == owner and begun[sub] ~= m[FENCE] then
    m[LEASE], m[FENCE] = 0, m[FENCE] + 1 -- should it wake up, it is void
    changed[sub] = m
    freed = freed + 1
  end
end
put_records(KEYS[2], changed)
put_due(KEYS[1], changed)
if #due < tonumber(ARGV[4]) then
  redis.call('HDEL', KEYS[3], owner)
  redis.call('HDEL', KEYS[4], owner)
elseif string.sub(sign, 1, 1) ~= 'x' then redis.call('HSET', KEYS[3], owner, 'x' .. sign) end
return {#due, freed}
