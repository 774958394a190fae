-- Every request asks for another offset, so that nothing which is kept by the whole target is found.
-- Arguments: the target up to the offset's number.
local target
local number = 1000
function init(args)
  target = args[1]
  math.randomseed(os.time())
  number = math.random(1, 1000000) * 1000
end
function request()
  number = number + 1
  return wrk.format("GET", target .. number .. "_0")
end
