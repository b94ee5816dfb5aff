--- The one floating window that shows answers: beside the code it speaks of, growing with the text, never taking the cursor
--- unless asked.

local config = require('glossator.config')

local M = {}

---@class (exact) glossator.Float
---@field buf integer
---@field win integer?
---@field source integer the buffer that the text speaks of
---@field row integer line of the source, from 0, below which the window hangs

---@type glossator.Float?
local float

--- Whether the window is on the screen.
---@return boolean
function M.visible()
  return float ~= nil and float.win ~= nil and vim.api.nvim_win_is_valid(float.win)
end

--- The buffer that the float's text speaks of, where `bufnr` is the float's own.
---@param bufnr integer
---@return integer
function M.source_of(bufnr)
  return float and float.buf == bufnr and float.source or bufnr
end

--- Begin with new text for a line of a buffer, and open the window if that buffer is on the screen.
---@param source integer
---@param row integer from 0
---@param text string
---@param title string
---@param footer string
function M.open(source, row, text, title, footer)
  local buf = float and vim.api.nvim_buf_is_valid(float.buf) and float.buf or M.make_buffer()
  local win = float and float.win
  if win and (float.source ~= source or float.row ~= row) then
    M.close()
    win = nil
  end
  float = { buf = buf, win = win, source = source, row = row }
  M.set_text(text)
  M.show(title, footer)
  if config.get().float.focus then
    M.focus()
  end
end

--- Put the window on the screen, or refresh its title, its footer and its size.
---@param title string
---@param footer string
function M.show(title, footer)
  if not float then
    return
  end
  local labels = { title = ' ' .. title .. ' ', footer = ' ' .. footer .. ' ', footer_pos = 'right' }
  if M.visible() then
    vim.api.nvim_win_set_config(float.win, labels)
    M.fit()
    return
  end
  local place = M.place()
  if not place then
    return
  end
  float.win = vim.api.nvim_open_win(float.buf, false, vim.tbl_extend('force', place, labels))
  local window = vim.wo[float.win]
  window.wrap, window.linebreak, window.breakindent = true, true, true
  window.conceallevel, window.concealcursor = 2, 'n'
  M.fit()
  M.close_with_source()
end

--- Replace the text.
---@param text string
function M.set_text(text)
  if float then
    M.change(0, -1, text)
  end
end

--- Add a piece to the end of the text; a reader whose cursor stands on the last line is taken along.
---@param piece string
function M.append(piece)
  if not float then
    return
  end
  local last = vim.api.nvim_buf_line_count(float.buf) - 1
  local line = vim.api.nvim_buf_get_lines(float.buf, last, last + 1, false)[1]
  local follows = M.visible() and vim.api.nvim_win_get_cursor(float.win)[1] == last + 1 and M.focused()
  M.change(last, last + 1, line .. piece)
  if follows then
    vim.api.nvim_win_set_cursor(float.win, { vim.api.nvim_buf_line_count(float.buf), 0 })
  end
  M.fit()
end

--- Move the cursor into the window; false where there is none.
---@return boolean
function M.focus()
  if not M.visible() then
    return false
  end
  vim.api.nvim_set_current_win(float.win)
  return true
end

---@return boolean
function M.focused()
  return M.visible() and vim.api.nvim_get_current_win() == float.win
end

--- Take the window off the screen; its text stays for `show`.
function M.close()
  if M.visible() then
    vim.api.nvim_win_close(float.win, true)
  end
  if float then
    float.win = nil
  end
end

--- Close the window as soon as the user moves on in the code.
function M.close_on_move()
  if not M.visible() or M.focused() then
    return
  end
  local win = float.win
  vim.api.nvim_create_autocmd({ 'CursorMoved', 'InsertEnter', 'InsertCharPre' }, {
    group = vim.api.nvim_create_augroup('glossator-float-move', {}),
    buffer = float.source,
    once = true,
    callback = function()
      -- Windows cannot be closed while a typed character is being taken.
      vim.schedule(function()
        if float and float.win == win and not M.focused() then
          M.close()
        end
      end)
    end,
  })
end

---@private
---@return integer
function M.make_buffer()
  local buf = vim.api.nvim_create_buf(false, true)
  vim.bo[buf].bufhidden = 'hide'
  vim.bo[buf].modifiable = false
  vim.bo[buf].filetype = 'markdown'
  -- Where the parser is missing the syntax file has already coloured the text.
  pcall(vim.treesitter.start, buf, 'markdown')
  for _, key in ipairs({ 'q', '<Esc>' }) do
    vim.keymap.set('n', key, M.close, { buffer = buf, nowait = true, desc = 'Close the answer' })
  end
  return buf
end

---@private
---@param first integer
---@param last integer
---@param text string
function M.change(first, last, text)
  vim.bo[float.buf].modifiable = true
  vim.api.nvim_buf_set_lines(float.buf, first, last, false, vim.split(text, '\n', { plain = true }))
  vim.bo[float.buf].modifiable = false
end

--- Where the window goes: under its line, or over it where there is more room, and with that line when the text scrolls.
---@private
---@return vim.api.keyset.win_config?
function M.place()
  local options = config.get().float
  local win = vim.fn.bufwinid(float.source)
  if win == -1 then
    return nil
  end
  local row = math.min(float.row, vim.api.nvim_buf_line_count(float.source) - 1)
  local screen_row = vim.fn.screenpos(win, row + 1, 1).row
  local below = screen_row <= vim.o.lines / 2
  -- A window that does not fit beside the line numbers would be moved over them.
  local room = vim.api.nvim_win_get_width(win) - vim.fn.getwininfo(win)[1].textoff - 2
  return {
    relative = 'win',
    win = win,
    bufpos = { row, 0 },
    anchor = below and 'NW' or 'SW',
    row = below and 1 or 0,
    col = 0,
    width = math.max(20, math.min(options.max_width, room)),
    height = 1,
    border = options.border,
    style = 'minimal',
    zindex = 45,
  }
end

--- Make the window as high as its text, up to the limit.
---@private
function M.fit()
  if M.visible() then
    local height = vim.api.nvim_win_text_height(float.win, {}).all
    local limit = math.min(config.get().float.max_height, math.max(3, math.floor(vim.o.lines / 2)))
    vim.api.nvim_win_set_height(float.win, math.max(1, math.min(height, limit)))
  end
end

--- The window goes when its code leaves the screen.
---@private
function M.close_with_source()
  local win = float.win
  vim.api.nvim_create_autocmd({ 'BufWinLeave', 'BufUnload' }, {
    group = vim.api.nvim_create_augroup('glossator-float', {}),
    buffer = float.source,
    once = true,
    callback = function()
      -- Windows cannot be closed while a buffer is being left.
      vim.schedule(function()
        if float and float.win == win then
          M.close()
        end
      end)
    end,
  })
end

return M
