--- `:checkhealth glossator`: what is needed, what is there, and what to do about the difference.

local M = {}

local health = vim.health

function M.check()
  health.start('glossator')
  if vim.fn.has('nvim-0.10') == 0 then
    health.error('Neovim 0.10 or newer is needed', { 'This is ' .. tostring(vim.version()) })
    return
  end
  health.ok('Neovim ' .. tostring(vim.version()))
  local ok, problem = pcall(require('glossator.config').get)
  if not ok then
    health.error(tostring(problem), { '`:help glossator-config`' })
    return
  end
  M.check_server()
  M.check_clients()
  if #vim.api.nvim_get_runtime_file('parser/markdown.so', false) > 0 then
    health.ok('answers are coloured by the Markdown parser')
  else
    health.info('there is no tree-sitter parser for Markdown: answers are shown with plain syntax colours')
  end
end

---@private
function M.check_server()
  local settings = vim.lsp.config and vim.lsp.config.glossator or require('glossator.client').config()
  local cmd = settings.cmd
  if type(cmd) ~= 'table' then
    health.info('the server is reached by a function of your configuration')
    return
  end
  if vim.fn.executable(cmd[1]) == 0 then
    health.error(('the server `%s` is not on the PATH'):format(cmd[1]), {
      'Install it: uv tool install glossator (or pipx install glossator)',
      "Or name it: require('glossator').setup { cmd = { '/path/to/glossator' } }",
    })
    return
  end
  -- The arguments that make it a server would make it wait for an editor: its version is asked for in their place.
  local words = vim.tbl_filter(function(word)
    return word ~= 'serve'
  end, cmd)
  local started, process = pcall(vim.system, vim.list_extend(words, { '--version' }), { text = true, timeout = 20000 })
  local result = started and process:wait() or { code = -1, stdout = '', stderr = tostring(process) }
  local told = vim.trim((result.stdout or '') .. (result.stderr or ''))
  if result.code == 0 then
    health.ok('the server: ' .. table.concat(cmd, ' ') .. ' (' .. told .. ')')
  else
    health.error(('`%s` does not start: %s'):format(table.concat(cmd, ' '), told), { 'Run `glossator doctor`' })
  end
end

---@private
function M.check_clients()
  local clients = vim.lsp.get_clients({ name = 'glossator' })
  if #clients == 0 then
    health.warn('the server is not running', {
      vim.lsp.config and "Enable it: vim.lsp.enable('glossator')" or 'Open a file: it starts by itself',
      'Or run any `:Glossator` command in a file',
    })
    return
  end
  for _, client in ipairs(clients) do
    local extension = require('glossator.client').extension(client)
    local where = ('%d buffers, positions in %s'):format(vim.tbl_count(client.attached_buffers), client.offset_encoding)
    if extension then
      health.ok(('the server is running: %s, protocol %d'):format(where, extension.version))
    else
      health.warn(('the server is running (%s), but knows nothing of this plugin'):format(where), {
        'It is older than the plugin: `uv tool upgrade glossator`',
        'Or another configuration of `capabilities` hides the plugin from it',
      })
    end
    for bufnr in pairs(client.attached_buffers) do
      M.check_others(client, bufnr)
    end
  end
end

---@private
---@param client vim.lsp.Client
---@param bufnr integer
function M.check_others(client, bufnr)
  local name = vim.fn.fnamemodify(vim.api.nvim_buf_get_name(bufnr), ':~:.')
  local others = vim.tbl_map(
    function(other)
      return other.name
    end,
    vim.tbl_filter(function(other)
      return other.id ~= client.id
    end, vim.lsp.get_clients({ bufnr = bufnr }))
  )
  local problems = #require('glossator.diagnostics').collect(bufnr, client)
  local beside = #others > 0 and table.concat(others, ', ') or 'no other server'
  health.info(('%s: beside it %s; %d problems are known to Glossator'):format(name, beside, problems))
end

return M
