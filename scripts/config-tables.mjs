/** The tables of docs/config.md, from the one definition of each option and key. */
import { OPTION_NAMES, OPTIONS, variableName } from '../src/config/option-table.ts'
import { schemaText } from '../src/config/json-schema.ts'

/** @returns the document with each block between its markers replaced. */
export function withTables(document) {
  return Object.entries({ flags: flagTable(), keys: keyTable() }).reduce((text, [name, table]) => {
    const block = new RegExp(`(<!-- ${name}: .*? -->\n)[^]*?(\n<!-- end -->)`)
    if (!block.test(text)) throw new Error(`docs/config.md has no block "${name}"`)
    return text.replace(block, (_, before, after) => `${before}\n${table}\n${after}`)
  }, document)
}

function flagTable() {
  const rows = OPTION_NAMES.map((name) => {
    const { flag, key, fallback, repeatable, text } = OPTIONS[name]
    const notes = repeatable === true ? '. Repeatable; the variable separates items by spaces' : ''
    return [
      `\`${flag.toUpperCase() === flag ? flag : flag.replace(/<(.*)>/, (_, value) => value.toUpperCase())}\``,
      `\`${variableName(name)}\``,
      key === undefined ? '' : `\`${key}\``,
      fallback === undefined ? '' : `\`${fallback}\``,
      `${text}${notes}.`,
    ]
  })
  return table(['Flag', 'Variable', 'Key', 'Default', 'Meaning'], rows)
}

function keyTable() {
  const { properties, required } = JSON.parse(schemaText())
  return table(['Key', 'Default', 'Meaning'], rowsOf(properties, required, ''))
}

function rowsOf(properties, required = [], path) {
  return Object.entries(properties).flatMap(([key, value]) => {
    const name = `${path}${key}`
    return [
      [`\`${name}\``, required.includes(key) ? 'required' : defaultOf(value), value.description],
      ...innerRows(value, name),
    ]
  })
}

function innerRows(value, name) {
  if (value.properties !== undefined) return rowsOf(value.properties, value.required, `${name}.`)
  if (typeof value.additionalProperties === 'object') return innerRows(value.additionalProperties, `${name}.NAME`)
  if (value.items !== undefined) return innerRows(value.items, `${name}[]`)
  return (value.anyOf ?? []).flatMap((one) => innerRows(one, name))
}

function defaultOf({ default: value }) {
  const isSection = value !== null && typeof value === 'object' && !Array.isArray(value)
  return value === undefined || isSection ? '' : `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``
}

function table(head, rows) {
  const line = (cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
