--- The connection to the server: how it is started, found, asked, and told; and where Neovim's versions differ.

local config = require('glossator.config')

local M = {}

--- What this plugin adds to the protocol; the server answers with what it adds.
local extension = { version = 1, stream = true, diagnostics = true, status = true, ui = 'nvim' }

--- The configuration of the client, for `vim.lsp.config` and `vim.lsp.start`.
---@return vim.lsp.ClientConfig
function M.config()
  local options = config.get()
  return {
    name = 'glossator',
    cmd = options.cmd,
    filetypes = options.filetypes,
    root_markers = options.root_markers,
    capabilities = { experimental = { glossator = extension } },
    settings = { glossator = options.settings },
    init_options = options.settings,
    -- By default Neovim keeps what is typed to itself for up to 150 ms, and while somebody types there is always something:
    -- every edit of the server would be for an older text. Humans leave more than this between two keys.
    flags = { debounce_text_changes = 30 },
    handlers = {
      ['glossator/stream'] = function(_, params)
        require('glossator.stream').receive(params)
      end,
      ['glossator/statusChanged'] = function(_, params)
        require('glossator.status').changed(params)
      end,
      ['window/showMessage'] = function(_, params)
        -- What the window with the answer says already need not be said again below it.
        if not require('glossator.stream').says(params.message) then
          -- LSP's types 1 to 4 are errors to logs; Neovim's levels run the other way.
          vim.notify(params.message, math.max(vim.log.levels.DEBUG, 5 - params.type))
        end
      end,
      ['workspace/applyEdit'] = function(_, params, context)
        return require('glossator.edits').apply(params, context)
      end,
    },
    commands = {
      ['glossator.refactor'] = M.command_with_words('Refactor how? '),
      ['glossator.ask'] = M.command_with_words('Ask: '),
    },
    on_exit = function(code, signal)
      vim.schedule(function()
        require('glossator.stream').server_ended(code, signal)
        require('glossator.status').changed(nil)
      end)
    end,
  }
end

--- A code action of the server that needs words from the user: ask for them, then let the server run it.
---@private
---@param prompt string
---@return fun(command: lsp.Command, context: table)
function M.command_with_words(prompt)
  return function(command, context)
    local argument = vim.tbl_get(command, 'arguments', 1)
    local client = vim.lsp.get_client_by_id(context.client_id)
    if type(argument) ~= 'table' or not client then
      return
    end
    vim.ui.input({ prompt = prompt }, function(typed)
      if typed and vim.trim(typed) ~= '' then
        M.request(client, 'workspace/executeCommand', {
          command = command.command,
          arguments = { vim.tbl_extend('force', argument, { instruction = vim.trim(typed) }) },
        }, nil, context.bufnr)
      end
    end)
  end
end

--- The client that serves a buffer, if there is one.
---@param bufnr integer
---@return vim.lsp.Client?
function M.get(bufnr)
  return vim.lsp.get_clients({ bufnr = bufnr, name = 'glossator' })[1]
end

--- Attach to a buffer, starting the server where it does not run yet; nil where that cannot be, with a message why not.
---@param bufnr integer
---@param options { quietly: boolean }? quietly: say nothing where the buffer or the machine is not fit
---@return vim.lsp.Client?
function M.start(bufnr, options)
  local client = M.get(bufnr)
  if client then
    return client
  end
  local quietly = options ~= nil and options.quietly
  if vim.bo[bufnr].buftype ~= '' then
    if not quietly then
      M.say('this buffer is not a file: open the code that you ask about', vim.log.levels.WARN)
    end
    return nil
  end
  -- What the user added by `vim.lsp.config('glossator', …)` counts here too.
  local settings = vim.lsp.config and vim.lsp.config.glossator or M.config()
  if type(settings.cmd) == 'table' and vim.fn.executable(settings.cmd[1]) == 0 then
    if not quietly then
      M.say(
        ('cannot start the server: `%s` is not on the PATH; `uv tool install glossator` installs it, '):format(settings.cmd[1])
          .. "or name it: require('glossator').setup { cmd = { '/path/to/glossator' } }",
        vim.log.levels.ERROR
      )
    end
    return nil
  end
  if quietly and settings.filetypes and not vim.tbl_contains(settings.filetypes, vim.bo[bufnr].filetype) then
    return nil
  end
  settings = vim.deepcopy(settings)
  settings.root_dir = vim.fs.root(bufnr, settings.root_markers or {})
  -- Given to `vim.lsp.start`, capabilities replace the editor's own instead of adding to them.
  settings.capabilities =
    vim.tbl_deep_extend('force', vim.lsp.protocol.make_client_capabilities(), settings.capabilities or {})
  local id = vim.lsp.start(settings, { bufnr = bufnr })
  return id and vim.lsp.get_client_by_id(id)
end

--- What the server adds to the protocol, or nil before it has answered `initialize`.
---@param client vim.lsp.Client
---@return table?
function M.extension(client)
  return vim.tbl_get(client, 'server_capabilities', 'experimental', 'glossator')
end

--- Ask the server; a failure is told to the user, and the callback hears results only.
---@param client vim.lsp.Client
---@param method string
---@param params table
---@param callback fun(result: any)?
---@param bufnr integer?
function M.request(client, method, params, callback, bufnr)
  local function answered(problem, result)
    if problem then
      M.say(problem.message or tostring(problem), vim.log.levels.ERROR)
    elseif callback then
      callback(result)
    end
  end
  if vim.fn.has('nvim-0.11') == 1 then
    client:request(method, params, answered, bufnr)
  else
    client.request(method, params, answered, bufnr)
  end
end

---@param client vim.lsp.Client
---@param method string
---@param params table
function M.notify(client, method, params)
  if vim.fn.has('nvim-0.11') == 1 then
    client:notify(method, params)
  else
    client.notify(method, params)
  end
end

--- Count a byte column of a line in the units that the server counts in.
---@param line string
---@param byte integer from 0; beyond the line is its end
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return integer
function M.to_units(line, byte, encoding)
  byte = math.min(byte, #line)
  if encoding == 'utf-8' then
    return byte
  end
  if vim.fn.has('nvim-0.11') == 1 then
    return vim.str_utfindex(line, encoding, byte, false)
  end
  local utf32, utf16 = vim.str_utfindex(line, byte)
  return encoding == 'utf-16' and utf16 or utf32
end

--- A place in a buffer as the server counts it.
---@param bufnr integer
---@param lnum integer from 0
---@param byte integer from 0
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return lsp.Position
function M.position(bufnr, lnum, byte, encoding)
  local line = vim.api.nvim_buf_get_lines(bufnr, lnum, lnum + 1, false)[1] or ''
  return { line = lnum, character = M.to_units(line, byte, encoding) }
end

--- The document with the version that the server was last told, after all changes have been sent.
---@param bufnr integer
---@return lsp.VersionedTextDocumentIdentifier
function M.document(bufnr)
  return { uri = vim.uri_from_bufnr(bufnr), version = vim.lsp.util.buf_versions[bufnr] or 0 }
end

--- Tell the user something, always with our name before it.
---@param message string
---@param level integer?
function M.say(message, level)
  vim.notify('glossator: ' .. message, level or vim.log.levels.INFO)
end

return M
