--- What is there before anybody asks for it: the command, the keys to map, and the listeners. All else loads on first use.

if vim.g.loaded_glossator then
  return
end
vim.g.loaded_glossator = true

vim.api.nvim_create_user_command('Glossator', function(command)
  require('glossator.commands').run(command)
end, {
  nargs = '*',
  range = true,
  desc = 'Explain, fix and refactor the code under the cursor or in the range',
  complete = function(typed, line)
    return require('glossator.commands').complete(typed, line)
  end,
})

for _, name in ipairs({ 'explain', 'fix', 'refactor', 'ask', 'cancel', 'show', 'why', 'provider' }) do
  -- In visual mode `:` brings the range of the selection with it.
  vim.keymap.set('n', '<Plug>(glossator-' .. name .. ')', '<Cmd>Glossator ' .. name .. '<CR>', { silent = true })
  vim.keymap.set('x', '<Plug>(glossator-' .. name .. ')', ':Glossator ' .. name .. '<CR>', { silent = true })
end

local group = vim.api.nvim_create_augroup('glossator', {})

vim.api.nvim_create_autocmd({ 'DiagnosticChanged', 'LspAttach' }, {
  group = group,
  desc = "Tell Glossator's server what the other servers found",
  callback = function(event)
    -- Without a running client there is nobody to tell, and nothing is loaded.
    if package.loaded['glossator.client'] then
      require('glossator.diagnostics').changed(event.buf)
    end
  end,
})

-- Neovim 0.10 has no `vim.lsp.enable`: there the plugin attaches by itself.
if not vim.lsp.config then
  vim.api.nvim_create_autocmd('FileType', {
    group = group,
    desc = 'Attach Glossator to files',
    callback = function(event)
      if require('glossator.config').get().autostart then
        require('glossator.client').start(event.buf, { quietly = true })
      end
    end,
  })
end
