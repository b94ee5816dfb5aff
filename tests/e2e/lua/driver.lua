--- Runs inside the Neovim of a test: takes Lua from the test over a socket, runs it between two turns of the main loop,
--- and sends back what it returned. One JSON object a line, both ways.

local pipe = assert(vim.uv.new_pipe())
local received = ''

--- What the user was told, and what went wrong unnoticed.
_G.messages = {}
local notify = vim.notify
---@diagnostic disable-next-line: duplicate-set-field  the test looks over the user's shoulder
vim.notify = function(message, level, options)
  table.insert(_G.messages, message)
  return notify(message, level, options)
end

--- The text of the answer's window, nil where none is open.
function _G.float_text()
  for _, win in ipairs(vim.api.nvim_list_wins()) do
    if vim.api.nvim_win_get_config(win).relative ~= '' then
      return table.concat(vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(win), 0, -1, false), '\n')
    end
  end
end

--- The title and the footer of the answer's window.
function _G.float_frame()
  local function plain(chunks)
    return table.concat(vim.tbl_map(function(chunk)
      return type(chunk) == 'table' and chunk[1] or chunk
    end, chunks or {}))
  end
  for _, win in ipairs(vim.api.nvim_list_wins()) do
    local config = vim.api.nvim_win_get_config(win)
    if config.relative ~= '' then
      return plain(config.title) .. '|' .. plain(config.footer)
    end
  end
end

function _G.text()
  return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\n')
end

local function send(message)
  if not pipe:is_closing() then
    pipe:write(vim.json.encode(message) .. '\n')
  end
end

local function evaluate(code)
  local chunk, mistake = loadstring(code)
  if not chunk then
    return false, mistake
  end
  return pcall(chunk)
end

--- Answer once the condition holds; looked at on turns of the main loop, so that the editor lives meanwhile.
local function watch(request)
  local timer = assert(vim.uv.new_timer())
  local started = vim.uv.now()
  timer:start(
    0,
    5,
    vim.schedule_wrap(function()
      if timer:is_closing() then
        return
      end
      local ok, result = evaluate(request.code)
      -- After a mistake in the plugin nothing will come: its message is better than the end of the time.
      local late = vim.uv.now() - started > request.deadline * 1000 or vim.v.errmsg:find('stack traceback', 1, true)
      if not ok or result or late then
        timer:close()
        send({ id = request.id, ok = ok and not not result, result = result or vim.NIL })
      end
    end)
  )
end

local function handle(line)
  local request = vim.json.decode(line)
  if request.deadline then
    watch(request)
    return
  end
  local ok, result = evaluate(request.code)
  send({ id = request.id, ok = ok, result = result == nil and vim.NIL or result })
end

pipe:connect(assert(vim.env.GLOSSATOR_TEST_SOCKET), function(problem)
  assert(not problem, problem)
  pipe:read_start(function(_, data)
    if not data then
      vim.schedule(function()
        vim.cmd('qall!') -- the test is over, however it ended
      end)
      return
    end
    received = received .. data
    while true do
      local line, rest = received:match('^(.-)\n(.*)$')
      if not line then
        return
      end
      received = rest
      vim.schedule(function()
        handle(line)
      end)
    end
  end)
end)
