--- What the user may choose in Neovim; models and privacy are chosen in the server's own configuration.

local M = {}

---@class (exact) glossator.FloatConfig
---@field border string|string[] as in |nvim_open_win()|
---@field max_width integer columns of text
---@field max_height integer lines of text
---@field focus boolean whether the cursor moves into the float when it opens

---@class (exact) glossator.Config
---@field cmd string[] the server and its arguments, or { 'glossator' } from the PATH
---@field root_markers string[] files and folders that mark the root of a project
---@field filetypes string[]|nil nil: every file
---@field autostart boolean Neovim 0.10 only: attach to files without being asked
---@field settings table<string, any> the section `glossator` of the editor's settings
---@field debounce integer milliseconds without a new diagnostic before the server is told
---@field float glossator.FloatConfig

---@type glossator.Config
local defaults = {
  cmd = { 'glossator' },
  root_markers = { '.git', '.hg', 'pyproject.toml', 'package.json', 'Cargo.toml', 'go.mod', '.glossator.toml' },
  filetypes = nil,
  autostart = true,
  settings = {},
  debounce = 150,
  float = { border = 'rounded', max_width = 88, max_height = 18, focus = false },
}

---@type table<string, type[]>
local kinds = {
  cmd = { 'table' },
  root_markers = { 'table' },
  filetypes = { 'table' },
  autostart = { 'boolean' },
  settings = { 'table' },
  debounce = { 'number' },
  float = { 'table' },
  ['float.border'] = { 'string', 'table' },
  ['float.max_width'] = { 'number' },
  ['float.max_height'] = { 'number' },
  ['float.focus'] = { 'boolean' },
}

---@type glossator.Config?
local current

--- Take the user's choices over the defaults; fields that are unknown or of a wrong type are an error that names them.
---@param options table<string, any>?
---@return glossator.Config
function M.set(options)
  options = options or {}
  M.check(options, '')
  current = vim.tbl_deep_extend('force', defaults, options)
  return current
end

--- The configuration in force: from `setup`, else from `vim.g.glossator`, else the defaults.
---@return glossator.Config
function M.get()
  if current then
    return current
  end
  local global = vim.g.glossator
  return M.set(type(global) == 'function' and global() or global)
end

---@private
---@param options table<string, any>
---@param prefix string
function M.check(options, prefix)
  for key, value in pairs(options) do
    local name = prefix .. tostring(key)
    local type_wanted = kinds[name]
    if not type_wanted then
      error(('glossator: unknown option `%s`; `:help glossator-config` lists those that exist'):format(name), 0)
    elseif not vim.tbl_contains(type_wanted, type(value)) then
      error(('glossator: `%s` must be a %s, not a %s'):format(name, table.concat(type_wanted, ' or '), type(value)), 0)
    elseif name == 'float' then
      M.check(value, 'float.')
    end
  end
end

return M
