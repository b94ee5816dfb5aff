--- The answers of the server as they come in, and what of them is on the screen.

local client_room = require('glossator.client')
local float = require('glossator.float')

local M = {}

---@class (exact) glossator.Answer
---@field job string
---@field action string
---@field bufnr integer the buffer that it speaks of
---@field row integer the line in it, from 0
---@field text string
---@field seq integer of the last message
---@field lossy boolean a message was missed; the end brings the whole text
---@field author string? who writes: a checker, or a model with where it runs
---@field state 'waiting'|'running'|'done'|'failed'
---@field note string? how it ended, in one clause
---@field stage string? what is being done now, while there is no text
---@field known boolean whether the server still knows the job, so that a question can go on from it

---@type table<string, glossator.Answer>
local answers = {}
---@type string[] jobs, the oldest first
local order = {}
---@type string? the job on the screen
local shown

-- Enough for follow-ups; older answers are forgotten.
local KEPT = 20

--- Note that a job was begun here, so that its answer appears at this place; its stream may have begun already.
---@param job string
---@param action string
---@param bufnr integer
---@param row integer from 0
function M.began(job, action, bufnr, row)
  local answer = answers[job]
  if not answer then
    M.add(job, action, bufnr, row)
  else
    answer.action, answer.bufnr, answer.row = action, bufnr, row
    if shown == job then
      M.show(answer)
    end
  end
end

--- Take one `glossator/stream`.
---@param params table
function M.receive(params)
  local answer = answers[params.job]
  if not answer then
    -- Begun from the code-action menu, or its request is not answered yet.
    local bufnr = M.buffer_of(params)
    local row = vim.fn.bufwinid(bufnr) ~= -1 and vim.api.nvim_win_get_cursor(vim.fn.bufwinid(bufnr))[1] - 1 or 0
    answer = M.add(params.job, params.action or 'answer', bufnr, row)
  end
  if answer.state == 'done' or answer.state == 'failed' then
    return
  end
  if params.seq and params.seq ~= answer.seq + 1 then
    answer.lossy = true
  end
  answer.seq = params.seq or answer.seq + 1
  answer.author = M.author_of(params) or answer.author
  if params.kind == 'begin' then
    -- A second begin: another provider begins anew; what the first one said is forgotten, never continued.
    answer.state, answer.text, answer.stage = 'running', '', params.reason
    M.show(answer)
  elseif params.kind == 'delta' then
    M.take_delta(answer, params)
  elseif params.kind == 'end' then
    M.take_end(answer, params)
  end
end

--- The newest answer, or the newest of a buffer.
---@param bufnr integer?
---@return glossator.Answer?
function M.last(bufnr)
  for index = #order, 1, -1 do
    local answer = answers[order[index]]
    if bufnr == nil or answer.bufnr == bufnr then
      return answer
    end
  end
  return nil
end

--- The jobs that are at work, the newest first.
---@param bufnr integer?
---@return glossator.Answer[]
function M.running(bufnr)
  local found = {}
  for index = #order, 1, -1 do
    local answer = answers[order[index]]
    if (answer.state == 'running' or answer.state == 'waiting') and (bufnr == nil or answer.bufnr == bufnr) then
      found[#found + 1] = answer
    end
  end
  return found
end

--- Whether the answer on the screen says this already.
---@param message string
---@return boolean
function M.says(message)
  local answer = shown and answers[shown]
  if not answer or not answer.note or not float.visible() then
    return false
  end
  return message:find(answer.note, 1, true) ~= nil or answer.note:find(message, 1, true) ~= nil
end

--- Put an answer on the screen.
---@param answer glossator.Answer
function M.show(answer)
  shown = answer.job
  float.open(answer.bufnr, answer.row, M.text_of(answer), M.title_of(answer), M.footer_of(answer))
end

--- End what was at work when the server's process ended.
---@param code integer
---@param signal integer
function M.server_ended(code, signal)
  local interrupted = M.running()
  for _, answer in pairs(answers) do
    answer.known = false
  end
  for _, answer in ipairs(interrupted) do
    answer.state, answer.note = 'failed', 'the server ended before the answer was complete'
    M.refresh(answer)
  end
  if #interrupted > 0 or code ~= 0 or (signal ~= 0 and signal ~= 15) then
    client_room.say(
      ('the server ended (exit code %d, signal %d); your text was not touched, '):format(code, signal)
        .. 'the next `:Glossator` command starts it again',
      vim.log.levels.ERROR
    )
  end
end

---@private
---@param job string
---@param action string
---@param bufnr integer
---@param row integer
---@return glossator.Answer
function M.add(job, action, bufnr, row)
  answers[job] = {
    job = job,
    action = action,
    bufnr = bufnr,
    row = row,
    text = '',
    seq = -1,
    lossy = false,
    state = 'waiting',
    known = true,
  }
  order[#order + 1] = job
  if #order > KEPT then
    answers[table.remove(order, 1)] = nil
  end
  return answers[job]
end

---@private
---@param answer glossator.Answer
---@param params table
function M.take_delta(answer, params)
  if params.channel == 'reasoning' then
    answer.stage = 'thinking'
    M.refresh(answer)
    return
  end
  local piece = params.text or ''
  if piece == '' then
    return
  end
  local first = answer.text == ''
  answer.text = answer.text .. piece
  if shown ~= answer.job then
    return
  elseif first then
    float.set_text(answer.text)
    M.refresh(answer)
  else
    float.append(piece)
  end
end

---@private
---@param answer glossator.Answer
---@param params table
function M.take_end(answer, params)
  local final = params.final or {}
  local problem = params.error
  local text = type(final.text) == 'string' and final.text or answer.text
  answer.stage = nil
  if problem then
    answer.state, answer.note = 'failed', M.with_rules(problem)
  else
    answer.state, answer.note = 'done', final.message or final.label
    text = text ~= '' and text or final.summary or ''
  end
  if text ~= answer.text then
    answer.text = text
    if shown == answer.job then
      float.set_text(text)
    end
  end
  M.refresh(answer)
  if final.outcome == 'proposal' and not problem then
    if answer.note then
      client_room.say(answer.note)
    end
    if shown == answer.job and final.applied == 'applied' then
      float.close_on_move() -- the change itself is what there is to see now
    end
  end
end

---@private
---@param answer glossator.Answer
function M.refresh(answer)
  if shown ~= answer.job then
    return
  end
  if answer.text == '' then
    float.set_text(M.text_of(answer))
  end
  if float.visible() then
    float.show(M.title_of(answer), M.footer_of(answer))
  end
end

---@private
---@param answer glossator.Answer
---@return string
function M.text_of(answer)
  if answer.text ~= '' then
    return answer.text
  end
  return answer.note or answer.stage or 'waiting for the first word'
end

---@private
---@param answer glossator.Answer
---@return string
function M.title_of(answer)
  return 'glossator: ' .. answer.action .. (answer.author and ', ' .. answer.author or '')
end

---@private
---@param answer glossator.Answer
---@return string
function M.footer_of(answer)
  if answer.state == 'done' then
    return answer.note or 'ask on with :Glossator ask'
  elseif answer.state == 'failed' then
    return answer.text ~= '' and answer.note or 'no answer'
  end
  return (answer.stage or 'writing') .. ', :Glossator cancel ends it'
end

--- The buffer that a message speaks of; the current one where it does not say.
---@private
---@param params table
---@return integer
function M.buffer_of(params)
  if type(params.uri) == 'string' then
    return vim.uri_to_bufnr(params.uri)
  end
  return float.source_of(vim.api.nvim_get_current_buf())
end

--- Why there is no answer, with the rules that said no.
---@private
---@param problem table
---@return string
function M.with_rules(problem)
  local message = problem.message or tostring(problem.code)
  local unnamed = vim.tbl_filter(function(rule)
    return not message:find(rule, 1, true)
  end, problem.rules or {})
  return #unnamed > 0 and ('%s (%s)'):format(message, table.concat(unnamed, ', ')) or message
end

---@private
---@param params table
---@return string?
function M.author_of(params)
  return vim.tbl_get(params, 'route', 'title')
end

return M
