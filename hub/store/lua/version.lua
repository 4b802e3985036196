-- VERSION of a resource: walk back from its head, one link per version, at most so many links.
-- KEYS head, chg, kept body ; ARGV version (0 = the present one), most links -> {id, fields...} | {} not held | {'ABSENT'} never existed
local head = redis.call('GET', KEYS[1])
if not head then return {'ABSENT'} end
local present, id = string.match(head, '(%S+) (%S+)')
local wanted = tonumber(ARGV[1])
if wanted == 0 then wanted = tonumber(present) end
for _ = 0, tonumber(ARGV[2]) do
  local entry = redis.call('XRANGE', KEYS[2], id, id)[1]
  local fields = entry and entry[2]
  if not fields then
    if redis.call('HGET', KEYS[3], 'id') ~= id then return {} end
    fields = redis.call('HGETALL', KEYS[3])
  end
  local field = {}
  for i = 1, #fields, 2 do field[fields[i]] = fields[i+1] end
  if tonumber(field.v) == wanted then return {id, fields} end
  if tonumber(field.v) < wanted or field.p == '-' then return {} end
  id = field.p
end
return {}
