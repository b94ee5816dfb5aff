--- The face for configurations and other plugins; nothing here has to be called.

local M = {}

--- Choose options (`:help glossator-config`) and start the server for the files that are open and those to come.
---@param options table<string, any>?
function M.setup(options)
  require('glossator.config').set(options)
  if vim.lsp.config then
    vim.lsp.config('glossator', require('glossator.client').config())
    vim.lsp.enable('glossator')
    return
  end
  for _, bufnr in ipairs(vim.api.nvim_list_bufs()) do
    if vim.api.nvim_buf_is_loaded(bufnr) and vim.bo[bufnr].filetype ~= '' then
      require('glossator.client').start(bufnr, { quietly = true })
    end
  end
end

--- How the server and its providers are, for a status line of your own: `first` is who would be asked first, `providers` has
--- for each its `health`, `p50` and `p95` in seconds to the first token, `retryIn` and `dollarsToday`; nil where it does not run.
---@return table?
function M.status()
  return package.loaded['glossator.status'] and require('glossator.status').get() or nil
end

--- A few words for the status line: what is at work in the buffer, or who would be asked; empty where Glossator does not serve it.
---@param bufnr integer? the current one where absent
---@return string
function M.statusline(bufnr)
  return package.loaded['glossator.client'] and require('glossator.status').line(bufnr) or ''
end

return M
