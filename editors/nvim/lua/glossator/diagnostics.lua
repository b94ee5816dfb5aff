--- What all the other servers and linters found in a buffer, told to Glossator's server.
---
--- Neovim puts only a client's own diagnostics into its requests; without this the server would not know what `ruff` or
--- `basedpyright` show under the cursor.

local client_room = require('glossator.client')
local config = require('glossator.config')

local M = {}

-- As many as the server takes of one document; the worst come first.
local LIMIT = 200

---@type table<integer, uv.uv_timer_t>
local timers = {}

--- Tell the server of a buffer's diagnostics once nothing has changed for a while:
---
---     changes  x x  x x          x
---     told             ----> *     ----> *
---
---@param bufnr integer
function M.changed(bufnr)
  if not client_room.get(bufnr) then
    return
  end
  local timer = timers[bufnr] or assert(vim.uv.new_timer())
  timers[bufnr] = timer
  timer:start(
    config.get().debounce,
    0,
    vim.schedule_wrap(function()
      -- A later change may have started the timer anew before this ran.
      if timers[bufnr] == timer and not timer:is_active() then
        timer:close()
        timers[bufnr] = nil
        M.push(bufnr)
      end
    end)
  )
end

--- Tell the server of a buffer's diagnostics now.
---@param bufnr integer
function M.push(bufnr)
  if not vim.api.nvim_buf_is_loaded(bufnr) then
    return
  end
  local client = client_room.get(bufnr)
  local extension = client and client_room.extension(client)
  if client and extension and extension.diagnostics then
    client_room.notify(client, 'glossator/diagnostics', {
      textDocument = client_room.document(bufnr),
      origin = 'editor',
      diagnostics = M.collect(bufnr, client),
    })
  end
end

--- The diagnostics of others, as LSP has them, in the units of the client.
---@param bufnr integer
---@param client vim.lsp.Client
---@param wanted (fun(diagnostic: vim.Diagnostic): boolean)? only those
---@return lsp.Diagnostic[]
function M.collect(bufnr, client, wanted)
  local own = vim.lsp.diagnostic.get_namespace(client.id)
  local found = vim.tbl_filter(function(diagnostic)
    return diagnostic.namespace ~= own
      and diagnostic.source ~= 'glossator'
      and (wanted == nil or wanted(diagnostic))
  end, vim.diagnostic.get(bufnr))
  table.sort(found, function(one, other)
    if one.severity ~= other.severity then
      return one.severity < other.severity
    end
    if one.lnum ~= other.lnum then
      return one.lnum < other.lnum
    end
    return one.col < other.col
  end)
  local related_fit = M.same_encoding(bufnr, client)
  local converted = {}
  for index = 1, math.min(#found, LIMIT) do
    converted[index] = M.to_lsp(found[index], bufnr, client.offset_encoding, related_fit)
  end
  return converted
end

--- Convert one diagnostic. Neovim counts columns in bytes, whatever the server that sent it counted in.
---@param diagnostic vim.Diagnostic
---@param bufnr integer
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@param related_fit boolean whether the places that the diagnostic refers to are counted in `encoding` already
---@return lsp.Diagnostic
function M.to_lsp(diagnostic, bufnr, encoding, related_fit)
  local original = vim.tbl_get(diagnostic, 'user_data', 'lsp') or {}
  local end_lnum = diagnostic.end_lnum or diagnostic.lnum
  local end_col = diagnostic.end_col or diagnostic.col
  local namespace = vim.diagnostic.get_namespace(diagnostic.namespace)
  return {
    range = {
      start = client_room.position(bufnr, diagnostic.lnum, diagnostic.col, encoding),
      ['end'] = client_room.position(bufnr, end_lnum, end_col, encoding),
    },
    severity = diagnostic.severity,
    code = diagnostic.code or original.code,
    codeDescription = original.codeDescription,
    -- Linters that are no servers (nvim-lint, none-ls) may name themselves by their namespace only.
    source = diagnostic.source or (namespace and namespace.name),
    message = diagnostic.message,
    tags = original.tags,
    relatedInformation = related_fit and original.relatedInformation or nil,
  }
end

--- Whether every server of the buffer counts as this client does.
---@param bufnr integer
---@param client vim.lsp.Client
---@return boolean
function M.same_encoding(bufnr, client)
  return vim.iter(vim.lsp.get_clients({ bufnr = bufnr })):all(function(other)
    return other.offset_encoding == client.offset_encoding
  end)
end

return M
