--- How the server is, kept for the status line.

local M = {}

---@type table?
local status

--- Take a `glossator/statusChanged`, or nil when the server has ended.
---@param params table?
function M.changed(params)
  status = params
  vim.api.nvim_exec_autocmds('User', { pattern = 'GlossatorStatus', data = params, modeline = false })
  vim.cmd.redrawstatus()
end

--- What the server said last of itself: `health`, `message`, `first`, `preferred` and `providers`; nil where it does not run.
---@return table?
function M.get()
  return status
end

--- Who would be asked first, and a word where that one does not answer as it should.
---@private
---@param told table
---@return string
function M.first(told)
  if type(told.first) ~= 'string' then
    return 'glossator'
  end
  local warning = told.health == 'warning' and ' (resting)' or ''
  return 'glossator: ' .. told.first .. warning
end

--- A few words for the status line of a buffer; empty where Glossator does not serve it.
---@param bufnr integer?
---@return string
function M.line(bufnr)
  bufnr = bufnr or vim.api.nvim_get_current_buf()
  if not require('glossator.client').get(bufnr) then
    return ''
  end
  local job = require('glossator.stream').running(bufnr)[1]
  if job then
    return 'glossator: ' .. job.action .. '…'
  end
  -- Without a model there is a warning in `:Glossator status`; the checkers answer all the same.
  if status and status.health == 'error' then
    return 'glossator: not working'
  end
  return status and M.first(status) or 'glossator'
end

return M
