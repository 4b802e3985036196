-- RETIRE changes from the front of the stream. A body that is still the present version of its resource moves to a key of
-- its own in the same step: heads outlive the stream (ruling 14).
-- KEYS chg, own, then for each change: head, kept body ; ARGV the ids, oldest first -> changes dropped
-- Never past the cursor of the partition, and never a version whose successor is still to be evaluated: it is the previous
-- state that the successor is judged against (I4).
local cursor = redis.call('HGET', KEYS[2], 'cur') or '0-0'
local function parts(id) local ms, seq = string.match(id, '(%d+)-(%d+)') return tonumber(ms), tonumber(seq) end
local cursor_ms, cursor_seq = parts(cursor)
local function after_cursor(id)
  local ms, seq = parts(id)
  return ms > cursor_ms or (ms == cursor_ms and seq > cursor_seq)
end
local dropped = 0
for i, id in ipairs(ARGV) do
  if after_cursor(id) then break end
  local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
  if entry then
    local head = redis.call('GET', KEYS[1 + 2*i])
    local newest = head and string.match(head, '%S+ (%S+)')
    if newest and after_cursor(newest) then break end
    if newest == id then
      redis.call('DEL', KEYS[2 + 2*i])
      redis.call('HSET', KEYS[2 + 2*i], 'id', id, unpack(entry[2]))
    end
    redis.call('XDEL', KEYS[1], id)
    dropped = dropped + 1
  end
end
return dropped
