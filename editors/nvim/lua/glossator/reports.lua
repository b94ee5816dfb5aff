--- What the server says of itself and of a file, in Markdown for people.

local M = {}

--- Describe the answer to `glossator/status`.
---@param status table
---@return string
function M.status(status)
  local lines = {}
  if status.message and status.message ~= '' then
    lines[#lines + 1] = status.message
    lines[#lines + 1] = ''
  end
  for _, provider in ipairs(status.providers or {}) do
    local where = provider.toy and 'toy model' or provider['local'] and 'local' or 'cloud'
    lines[#lines + 1] = ('- **%s** (%s), %s: %s'):format(provider.name, where, provider.model, provider.state)
  end
  if #(status.providers or {}) == 0 then
    lines[#lines + 1] = "- no model: the checkers' own knowledge and fixes answer"
  end
  for _, job in ipairs(status.jobs or {}) do
    lines[#lines + 1] = ('- at work: %s in %s'):format(job.action, vim.fn.fnamemodify(vim.uri_to_fname(job.uri), ':~:.'))
  end
  return table.concat(lines, '\n')
end

local levels = {
  open = 'Any model that you configured may see this file',
  private = 'Only a model on this machine may see this file',
  never = 'No model may see this file',
}

--- Describe the answer to `glossator/why`.
---@param why table
---@return string
function M.why(why)
  local lines = { ('**%s**: %s.'):format(why.level, levels[why.level] or why.level) }
  for _, reason in ipairs(why.reasons or {}) do
    local place = type(reason.range) == 'table' and reason.range[1] and (', line %d'):format(reason.range[1] + 1) or ''
    lines[#lines + 1] = ('- %s (rule `%s`, %s%s)'):format(reason.clause or reason.rule, reason.rule, reason.source, place)
  end
  lines[#lines + 1] = ''
  local route = why.route or {}
  lines[#lines + 1] = #route > 0 and ('A request would go to: ' .. table.concat(route, ', then ') .. '.')
    or 'A request would go to no model.'
  for _, refused in ipairs(why.refused or {}) do
    lines[#lines + 1] = ('- not to %s: %s'):format(refused[1], refused[2])
  end
  lines[#lines + 1] = ''
  lines[#lines + 1] = 'Nothing was sent.'
  return table.concat(lines, '\n')
end

return M
