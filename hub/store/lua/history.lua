-- HISTORY of a resource: walk back from its head, one link per version.
-- KEYS head, chg, kept body ; ARGV most versions, before version (0 = from the newest) -> {{id, fields...} ...} newest first, as far as held
local head = redis.call('GET', KEYS[1])
if not head then return {} end
local id = string.match(head, '%S+ (%S+)')
local most, before = tonumber(ARGV[1]), tonumber(ARGV[2])
local out = {}
while #out < most do
  local entry = redis.call('XRANGE', KEYS[2], id, id)[1]
  local fields = entry and entry[2]
  if not fields then
    if redis.call('HGET', KEYS[3], 'id') ~= id then return out end
    fields = redis.call('HGETALL', KEYS[3])
  end
  local field = {}
  for i = 1, #fields, 2 do field[fields[i]] = fields[i+1] end
  if before == 0 or tonumber(field.v) < before then out[#out+1] = {id, fields} end
  if field.p == '-' then return out end
  id = field.p
end
return out
