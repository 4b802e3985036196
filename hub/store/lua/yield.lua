-- YIELD what was held and will not be begun, so that nobody waits for the end of its lease.
-- KEYS due, m ; ARGV fence, sub, fence, sub, ... -> how many were freed; one that another holds by now is left alone
local names = {}
for i = 2, #ARGV, 2 do names[#names+1] = ARGV[i] end
local raw = redis.call('HMGET', KEYS[2], unpack(names))
local changed, freed = {}, 0
for x, sub in ipairs(names) do
  local m = read_record(raw[x])
  if m and m[LEASE] > 0 and m[FENCE] == tonumber(ARGV[2*x - 1]) then
    m[LEASE], m[FENCE] = 0, m[FENCE] + 1
    changed[sub] = m
    freed = freed + 1
  end
end
put_records(KEYS[2], changed)
put_due(KEYS[1], changed)
return freed
