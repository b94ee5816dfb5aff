--- The server's edits, applied as one undo step each, with a truthful answer.
---
--- Neovim's own handler answers `applied = true` also where it refused, does not look at versions of files that were not
--- changed since they were opened, and lets an edit that comes while the user types join their undo step.

local M = {}

--- Apply a `workspace/applyEdit`; an edit for another version than the buffer's is refused whole.
---@param params lsp.ApplyWorkspaceEditParams
---@param context lsp.HandlerContext
---@return lsp.ApplyWorkspaceEditResult
function M.apply(params, context)
  local client = vim.lsp.get_client_by_id(context.client_id)
  if not client then
    return { applied = false, failureReason = 'the connection has ended' }
  end
  local buffers = {} ---@type integer[]
  for _, change in ipairs(params.edit.documentChanges or {}) do
    local document = change.textDocument
    if document then
      local bufnr = vim.uri_to_bufnr(document.uri)
      local version = document.version
      if vim.api.nvim_buf_is_loaded(bufnr) then
        if type(version) == 'number' and version ~= (vim.lsp.util.buf_versions[bufnr] or 0) then
          -- Any message of ours takes along the changes that were not sent yet: the server merges anew from these.
          require('glossator.diagnostics').push(bufnr)
          return { applied = false, failureReason = 'the text has changed since' }
        end
        if not vim.bo[bufnr].modifiable then
          return { applied = false, failureReason = 'the buffer is not modifiable' }
        end
        buffers[#buffers + 1] = bufnr
      end
    end
  end
  vim.iter(buffers):each(M.close_undo_step)
  local ok, problem = pcall(vim.lsp.util.apply_workspace_edit, params.edit, client.offset_encoding)
  vim.iter(buffers):each(M.close_undo_step)
  return { applied = ok, failureReason = not ok and tostring(problem) or nil }
end

--- End the current undo step: what is typed or applied next is undone on its own.
---@param bufnr integer
function M.close_undo_step(bufnr)
  -- Setting 'undolevels', even to its own value, does just that (`:help undo-break`).
  vim.bo[bufnr].undolevels = vim.bo[bufnr].undolevels
end

return M
