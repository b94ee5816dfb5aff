--- The configuration of a user who has Glossator beside another server, as README tells to write it.

vim.opt.runtimepath:append(vim.env.GLOSSATOR_TEST_PLUGIN)
vim.opt.swapfile = false

local server = vim.json.decode(vim.env.GLOSSATOR_TEST_SERVER)
if vim.lsp.config then
  vim.lsp.config('glossator', { cmd = server })
  vim.lsp.enable('glossator')
else
  vim.g.glossator = { cmd = server }
end

local other = vim.env.GLOSSATOR_TEST_CHECKER and vim.json.decode(vim.env.GLOSSATOR_TEST_CHECKER)
if other then
  vim.api.nvim_create_autocmd('FileType', {
    pattern = 'python',
    callback = function(event)
      vim.lsp.start({
        name = other.name,
        cmd = other.cmd,
        root_dir = vim.fs.dirname(vim.api.nvim_buf_get_name(event.buf)),
        settings = vim.empty_dict(),
      }, { bufnr = event.buf })
    end,
  })
end

dofile(vim.env.GLOSSATOR_TEST_DRIVER)
