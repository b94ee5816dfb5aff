--- What the server says of itself and of a file, in Markdown for people.

local M = {}

--- How a provider is, in a few words.
---@param provider table
---@return string
function M.standing(provider)
  local words = { provider.state }
  if provider.health and provider.health ~= 'unknown' then
    words[#words + 1] = provider.health
  end
  if type(provider.p50) == 'number' then
    words[#words + 1] = ('%.1f s to the first token'):format(provider.p50)
  end
  if (provider.retryIn or 0) > 0 then
    words[#words + 1] = ('rests for %.0f s'):format(provider.retryIn)
  end
  if type(provider.lastError) == 'string' and provider.health ~= 'up' then
    words[#words + 1] = provider.lastError
  end
  if (provider.dollarsToday or 0) > 0 then
    words[#words + 1] = ('$%.2f today'):format(provider.dollarsToday)
  end
  return table.concat(words, ', ')
end

--- What can be chosen with `:Glossator provider`: each with the name that stands for it, false for the automatic choice.
---@param status table
---@return { name: string|false, title: string }[]
function M.choices(status)
  local preferred = type(status.preferred) == 'string' and status.preferred or false
  local function choice(name, title)
    return { name = name, title = (name == preferred and '✓ ' or '  ') .. title }
  end
  local choices = { choice(false, 'automatic') }
  for _, provider in ipairs(status.providers or {}) do
    local where = provider.toy and 'toy model' or provider['local'] and 'local' or 'cloud'
    local model = provider.model ~= '' and provider.model or 'its own choice'
    local title = ('%s (%s: %s, %s)'):format(provider.name, where, model, M.standing(provider))
    choices[#choices + 1] = choice(provider.name, title)
  end
  for _, name in ipairs(vim.fn.sort(vim.tbl_keys(status.groups or {}))) do
    choices[#choices + 1] = choice(name, ('%s (group: %s)'):format(name, table.concat(status.groups[name], ', ')))
  end
  return choices
end

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
    local model = provider.model ~= '' and provider.model or 'its own choice'
    lines[#lines + 1] = ('- **%s** (%s), %s: %s'):format(provider.name, where, model, M.standing(provider))
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
  if why.request and why.request ~= '' then
    vim.list_extend(lines, { '', why.request })
  end
  return table.concat(lines, '\n')
end

return M
