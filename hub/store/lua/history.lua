-- HISTORY of a resource: walk back from its head, or from a change of it, one link per version.
-- KEYS head, chg, kept body ; ARGV Type/id, most versions, most bytes of bodies, id to begin with ('' = the newest)
-- -> {{id, fields...} ...} newest first, as far as held; at least one version when any is held, whatever its size
local id = ARGV[4]
if id == '' then
  local head = redis.call('GET', KEYS[1])
  if not head then return {} end
  id = string.match(head, '%S+ (%S+)')
end
local most, room = tonumber(ARGV[2]), tonumber(ARGV[3])
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
  room = room - #field.b
  if field.k ~= ARGV[1] or (room < 0 and #out > 0) then return out end
  out[#out+1] = {id, fields}
  if field.p == '-' then return out end
  id = field.p
end
return out
