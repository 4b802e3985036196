-- RESUME: a restarted owner gives up the attempts of its former life, so that nobody waits for their leases.
-- KEYS due, m ; ARGV owner, first place, most -> {places looked at, Subscriptions freed}
-- The agenda has what is leased at the end of its lease, so only what is due from now on is looked at.
local due = redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf', 'LIMIT', ARGV[2], ARGV[3])
if #due == 0 then return {0, 0} end
local raw = redis.call('HMGET', KEYS[2], unpack(due))
local changed, freed = {}, 0
for x, sub in ipairs(due) do
  local m = read_record(raw[x])
  if m and m[LEASE] > 0 and m[OWNER] == ARGV[1] then
    m[LEASE], m[FENCE] = 0, m[FENCE] + 1 -- should the former self wake up, it is void
    changed[sub] = m
    freed = freed + 1
  end
end
put_records(KEYS[2], changed)
put_due(KEYS[1], changed)
return {#due, freed}
