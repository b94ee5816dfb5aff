--- `:Glossator`, one function for each word that can follow it.

local client_room = require('glossator.client')
local diagnostics = require('glossator.diagnostics')
local float = require('glossator.float')
local stream = require('glossator.stream')

local M = {}

---@class (exact) glossator.Target what a command is about
---@field bufnr integer
---@field client vim.lsp.Client
---@field row integer line, from 0, that the answer belongs to
---@field range lsp.Range
---@field diagnostics lsp.Diagnostic[] those of others that the range or the cursor touches

---@class (exact) glossator.Subcommand
---@field help string
---@field run fun(target: glossator.Target, words: string)

---@type table<string, glossator.Subcommand>
local subcommands = {
  explain = {
    help = 'explain the problem under the cursor, or the code in the range',
    run = function(target)
      M.start_task(target, 'explain')
    end,
  },
  fix = {
    help = 'fix the problem under the cursor, or those in the range',
    run = function(target, words)
      M.start_task(target, 'fix', words ~= '' and words or nil)
    end,
  },
  refactor = {
    help = 'change the code as the words after it say',
    run = function(target, words)
      M.with_words(words, 'Refactor how? ', function(instruction)
        M.start_task(target, 'refactor', instruction)
      end)
    end,
  },
  fixall = {
    help = 'fix all problems in this buffer of the rule that is broken under the cursor',
    run = function(target)
      M.start_task(target, 'fix-all')
    end,
  },
  document = {
    help = 'document the symbol under the cursor; not one token of its code changes',
    run = function(target, words)
      M.start_task(target, 'document', words ~= '' and words or nil)
    end,
  },
  tests = {
    help = 'write tests for the symbol under the cursor into its test file; they are not run',
    run = function(target, words)
      M.start_task(target, 'tests', words ~= '' and words or nil)
    end,
  },
  review = {
    help = 'review this buffer, or the range; findings are shown as diagnostics',
    run = function(target, words)
      M.start_task(target, 'review', words ~= '' and words or nil)
    end,
  },
  clear = {
    help = 'take back what reviews have found in this buffer',
    run = function(target)
      M.execute(target, 'glossator.clearReview', { { uri = vim.uri_from_bufnr(target.bufnr) } })
    end,
  },
  ask = {
    help = 'ask on about the last answer, or anything about this code',
    run = function(target, words)
      M.with_words(words, 'Ask: ', function(question)
        M.ask(target, question)
      end)
    end,
  },
  cancel = {
    help = 'end what is at work in this buffer, or anywhere if nothing is',
    run = function(target)
      M.cancel(target)
    end,
  },
  status = {
    help = 'show the providers and how they are',
    run = function(target)
      client_room.request(target.client, 'glossator/status', vim.empty_dict(), function(result)
        M.show_report(target, 'status', require('glossator.reports').status(result))
      end, target.bufnr)
    end,
  },
  provider = {
    help = 'choose who is asked first in this session, from a list or by name',
    run = function(target, words)
      M.select_provider(target, words)
    end,
  },
  reset = {
    help = 'let a provider that rests after failures be asked again, or all',
    run = function(target, words)
      M.execute(target, 'glossator.resetProvider', words ~= '' and { words } or {})
    end,
  },
  privacy = {
    help = 'show what may leave the machine from this workspace, and allow or revoke the clouds found by their keys',
    run = function(target, words)
      M.execute(target, 'glossator.privacy', words ~= '' and { words } or {})
    end,
  },
  why = {
    help = 'show where this file would go, and by which rule; nothing is sent',
    run = function(target)
      local params = { textDocument = client_room.document(target.bufnr) }
      client_room.request(target.client, 'glossator/why', params, function(result)
        M.show_report(target, 'why', require('glossator.reports').why(result))
      end, target.bufnr)
    end,
  },
}

--- Words that need no server.
---@type table<string, fun()>
local local_subcommands = {
  show = function()
    M.show()
  end,
  close = float.close,
}

--- Run the command as the user typed it.
---@param command vim.api.keyset.create_user_command.command_args
function M.run(command)
  local name, words = command.args:match('^%s*(%S*)%s*(.-)%s*$')
  if local_subcommands[name] then
    local_subcommands[name]()
    return
  end
  local subcommand = subcommands[name]
  if not subcommand then
    client_room.say(
      (name == '' and 'say what to do: ' or ('`%s` is not one of '):format(name)) .. table.concat(M.names(), ', '),
      vim.log.levels.ERROR
    )
    return
  end
  local bufnr = float.source_of(vim.api.nvim_get_current_buf())
  local client = client_room.start(bufnr)
  if client then
    M.when_ready(client, function()
      subcommand.run(M.target(client, bufnr, command), words)
    end)
  end
end

--- Complete the word after `:Glossator`.
---@param typed string
---@param line string
---@return string[]
function M.complete(typed, line)
  if line:match('Glossator%s+%S+%s') then
    return {}
  end
  return vim.tbl_filter(function(name)
    return vim.startswith(name, typed)
  end, M.names())
end

--- Every word that can follow `:Glossator`, with what it does.
---@return string[]
function M.names()
  local names = vim.list_extend(vim.tbl_keys(subcommands), vim.tbl_keys(local_subcommands))
  table.sort(names)
  return names
end

--- Call back once the server has answered `initialize`: at once, or when it has started.
---@private
---@param client vim.lsp.Client
---@param callback fun()
function M.when_ready(client, callback)
  if client.initialized then
    callback()
    return
  end
  vim.api.nvim_create_autocmd('LspAttach', {
    desc = 'Go on with the command that started the server',
    callback = function(event)
      if event.data.client_id == client.id then
        vim.schedule(callback)
        return true -- once
      end
    end,
  })
end

--- What the user points at: the range of the command, or the cursor with the problems there.
---@private
---@param client vim.lsp.Client
---@param bufnr integer
---@param command vim.api.keyset.create_user_command.command_args
---@return glossator.Target
function M.target(client, bufnr, command)
  local encoding = client.offset_encoding
  local last_line = vim.api.nvim_buf_line_count(bufnr) - 1
  if command.range > 0 then
    local first, last = math.min(command.line1 - 1, last_line), math.min(command.line2 - 1, last_line)
    local from, to = M.columns(bufnr, first, last)
    return {
      bufnr = bufnr,
      client = client,
      row = first,
      range = {
        start = client_room.position(bufnr, first, from, encoding),
        ['end'] = client_room.position(bufnr, last, to, encoding),
      },
      diagnostics = diagnostics.collect(bufnr, client, function(diagnostic)
        return diagnostic.lnum <= last and (diagnostic.end_lnum or diagnostic.lnum) >= first
      end),
    }
  end
  local win = vim.fn.bufwinid(bufnr)
  local cursor = win ~= -1 and vim.api.nvim_win_get_cursor(win) or { 1, 0 }
  local row, column = cursor[1] - 1, cursor[2]
  local position = client_room.position(bufnr, row, column, encoding)
  return {
    bufnr = bufnr,
    client = client,
    row = row,
    range = { start = position, ['end'] = position },
    diagnostics = M.at_cursor(bufnr, client, row, column),
  }
end

--- The byte columns of a range of lines: those of the selection, where it is one of characters, else whole lines.
---@private
---@param bufnr integer
---@param first integer
---@param last integer
---@return integer, integer
function M.columns(bufnr, first, last)
  local line = vim.api.nvim_buf_get_lines(bufnr, last, last + 1, false)[1] or ''
  local from, to = vim.api.nvim_buf_get_mark(bufnr, '<'), vim.api.nvim_buf_get_mark(bufnr, '>')
  if vim.fn.visualmode() == 'v' and from[1] == first + 1 and to[1] == last + 1 then
    -- The mark stands on the last character; the range ends behind all its bytes.
    local behind = math.min(to[2] + 1, #line)
    while behind < #line and line:byte(behind + 1) >= 0x80 and line:byte(behind + 1) < 0xC0 do
      behind = behind + 1
    end
    return from[2], behind
  end
  return 0, #line
end

--- The problems under the cursor; where there are none, those of its line.
---@private
---@param bufnr integer
---@param client vim.lsp.Client
---@param row integer
---@param column integer
---@return lsp.Diagnostic[]
function M.at_cursor(bufnr, client, row, column)
  local under = diagnostics.collect(bufnr, client, function(diagnostic)
    local end_lnum, end_col = diagnostic.end_lnum or diagnostic.lnum, diagnostic.end_col or diagnostic.col
    local after_start = diagnostic.lnum < row or (diagnostic.lnum == row and diagnostic.col <= column)
    local before_end = end_lnum > row or (end_lnum == row and end_col >= column)
    return after_start and before_end
  end)
  if #under > 0 then
    return under
  end
  return diagnostics.collect(bufnr, client, function(diagnostic)
    return diagnostic.lnum <= row and (diagnostic.end_lnum or diagnostic.lnum) >= row
  end)
end

--- Let the user pick who is asked first, or take the name that was typed.
---@private
---@param target glossator.Target
---@param words string
function M.select_provider(target, words)
  if words ~= '' then
    M.execute(target, 'glossator.selectProvider', { words })
    return
  end
  client_room.request(target.client, 'glossator/status', vim.empty_dict(), function(status)
    if #(status.providers or {}) == 0 then
      client_room.say(status.message or 'no model is there', vim.log.levels.WARN)
      return
    end
    vim.ui.select(require('glossator.reports').choices(status), {
      prompt = 'Who is asked first?',
      kind = 'glossator-provider',
      format_item = function(choice)
        return choice.title
      end,
    }, function(choice)
      if choice then
        M.execute(target, 'glossator.selectProvider', { choice.name or 'automatic' })
      end
    end)
  end, target.bufnr)
end

---@private
---@param target glossator.Target
---@param command string
---@param arguments any[]
function M.execute(target, command, arguments)
  local params = { command = command, arguments = #arguments > 0 and arguments or nil }
  client_room.request(target.client, 'workspace/executeCommand', params, nil, target.bufnr)
end

---@private
---@param target glossator.Target
---@param action 'explain'|'fix'|'fix-all'|'refactor'|'document'|'tests'|'review'
---@param instruction string?
function M.start_task(target, action, instruction)
  diagnostics.push(target.bufnr)
  client_room.request(target.client, 'glossator/run', {
    action = action,
    textDocument = client_room.document(target.bufnr),
    range = target.range,
    diagnostics = target.diagnostics,
    instruction = instruction,
    apply = 'edit',
  }, function(result)
    M.note_job(target, action, result)
  end, target.bufnr)
end

---@private
---@param target glossator.Target
---@param question string
function M.ask(target, question)
  local last = stream.last(target.bufnr)
  local goes_on = last ~= nil and last.known
  client_room.request(target.client, 'glossator/ask', {
    question = question,
    job = goes_on and last.job or nil,
    textDocument = client_room.document(target.bufnr),
    -- A question that goes on is about the place of the first one.
    range = not goes_on and target.range or nil,
  }, function(result)
    M.note_job(target, 'ask', result)
  end, target.bufnr)
end

---@private
---@param target glossator.Target
---@param action string
---@param result any
function M.note_job(target, action, result)
  if type(result) == 'table' and result.job then
    stream.began(result.job, action, target.bufnr, target.row)
  end
end

---@private
---@param target glossator.Target
function M.cancel(target)
  local running = stream.running(target.bufnr)
  running = #running > 0 and running or stream.running()
  if #running == 0 then
    client_room.say('nothing is at work')
    return
  end
  for _, answer in ipairs(running) do
    client_room.request(target.client, 'glossator/cancel', { job = answer.job })
  end
end

--- Show the last answer again, or move into it where it is on the screen.
---@private
function M.show()
  if float.focus() then
    return
  end
  local bufnr = vim.api.nvim_get_current_buf()
  local answer = stream.last(bufnr) or stream.last()
  if answer then
    stream.show(answer)
  else
    client_room.say('there is no answer yet')
  end
end

---@private
---@param target glossator.Target
---@param name string
---@param text string
function M.show_report(target, name, text)
  float.open(target.bufnr, target.row, text, 'glossator: ' .. name, 'q in the window closes it')
end

---@private
---@param words string
---@param prompt string
---@param callback fun(words: string)
function M.with_words(words, prompt, callback)
  if words ~= '' then
    callback(words)
    return
  end
  vim.ui.input({ prompt = prompt }, function(typed)
    if typed and vim.trim(typed) ~= '' then
      callback(vim.trim(typed))
    end
  end)
end

return M
