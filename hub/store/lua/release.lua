-- RELEASE a guard, unless it has expired and somebody else holds it now.
-- KEYS guard ; ARGV token of the holder -> 1 | 0
local present = redis.call('GET', KEYS[1])
if present ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
