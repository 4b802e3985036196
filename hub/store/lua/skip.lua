-- SKIP numbers of Subscriptions after the store went backwards: those that may have been given before are not given again.
-- KEYS due, m, then the event log of each
-- ARGV how many numbers, drop what waits (1/0), then for each: sub, its highest number as it was read
-- -> for each: -1 it has events waiting and nothing was done, else how many waiting events were dropped
-- The log ends where it was: what was delivered before the skip is no longer held.
-- Run again it changes nothing: whoever counts from beyond the number that was read plus so many has been here.
local skip, drop = tonumber(ARGV[1]), ARGV[2] == '1'
local names = {}
for i = 3, #ARGV, 2 do names[#names+1] = ARGV[i] end
local raw = redis.call('HMGET', KEYS[2], unpack(names))
local out, changed = {}, {}
for x, sub in ipairs(names) do
  local m = read_record(raw[x])
  local waiting = m and m[STATUS] ~= GONE and m[NUMBER] - m[CURSOR] or 0
  local beyond = tonumber(ARGV[2 + 2*x]) + skip
  if m and m[NUMBER] >= beyond then out[x] = 0
  elseif waiting > 0 and not drop then out[x] = -1
  elseif m then
    m[NUMBER] = beyond
    m[CURSOR], m[FIRST_KEPT] = m[NUMBER], m[NUMBER] + 1
    m[FROZEN], m[SINGLY], m[HELD], m[AGAIN] = 0, 0, 0, '' -- what was asked for again is no longer held
    m[FENCE], m[LEASE] = m[FENCE] + 1, 0 -- attempts in flight are void
    redis.call('DEL', KEYS[2 + x])
    out[x], changed[sub] = waiting, m
  else out[x] = 0 end
end
put_records(KEYS[2], changed)
put_due(KEYS[1], changed)
return out
