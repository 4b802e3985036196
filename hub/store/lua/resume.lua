-- RESUME: a restarted owner gives up the attempts of its former life, so that nobody waits for their leases.
-- KEYS due, m ; ARGV owner, ms at which its new life began, ms to look from, how many due at that very ms to pass over, most
-- -> {how many were looked at, how many were freed, ms at which the last of them is due, how many of those not freed are due then}
-- The agenda has what is leased at the end of its lease, so only what is due from the beginning of the new life on is
-- looked at. What was held in the new life stays: it may work meanwhile. Every call begins where the last one ended.
local began = tonumber(ARGV[2])
local due = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[3], '+inf', 'WITHSCORES', 'LIMIT', ARGV[4], ARGV[5])
if #due == 0 then return {0, 0, 0, 0} end
local names, last = {}, due[#due]
for x = 1, #due, 2 do names[#names+1] = due[x] end
local raw = redis.call('HMGET', KEYS[2], unpack(names))
local changed, freed, beside = {}, 0, 0
for x, sub in ipairs(names) do
  local m = read_record(raw[x])
  if m and m[LEASE] > 0 and m[OWNER] == ARGV[1] and held_since(m) < began then
    m[LEASE], m[FENCE] = 0, m[FENCE] + 1 -- should the former self wake up, it is void
    changed[sub] = m
    freed = freed + 1
  elseif due[2*x] == last then beside = beside + 1 end
end
put_records(KEYS[2], changed)
put_due(KEYS[1], changed)
return {#names, freed, tonumber(last), beside}
