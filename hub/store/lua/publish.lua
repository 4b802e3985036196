-- PUBLISH a new version of a definition, a SubscriptionTopic or SearchParameter (or its deletion), and say so in the registry log.
-- KEYS definitions of its kind, log ; ARGV name, expected version ('' = any, '0' = must not exist), op (put | delete), record (without version), kind
-- -> {OK, version, 1 when it did not exist before} | {CONFLICT, version} | {ABSENT} | {GONE, version}
-- the hash holds `name` -> "version op" and `name version` -> record.
-- Run again it writes nothing and answers the same: a record says when it was written, so it is known again.
local name, expected, op = ARGV[1], ARGV[2], ARGV[3]
local head = redis.call('HGET', KEYS[1], name)
local version, was = 0, 'delete'
if head then version, was = string.match(head, '(%S+) (%S+)') version = tonumber(version) end
local alive = head and was ~= 'delete'
if was == op and redis.call('HGET', KEYS[1], name .. ' ' .. version) == ARGV[4] then
  local before = redis.call('HGET', KEYS[1], name .. ' ' .. (version - 1))
  return {'OK', version, (not before or cjson.decode(before).resource == '') and 1 or 0}
end
if expected == '0' then
  if alive then return {'CONFLICT', version} end
elseif expected ~= '' and (not alive or tonumber(expected) ~= version) then return {'CONFLICT', version} end
if op == 'delete' then
  if not head then return {'ABSENT'} end
  if not alive then return {'GONE', version} end
end
version = version + 1
redis.call('HSET', KEYS[1], name, version .. ' ' .. op, name .. ' ' .. version, ARGV[4])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 100000, '*', ARGV[5], name)
return {'OK', version, alive and 0 or 1}
