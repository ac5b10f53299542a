/** docs/json.md: the records under --json, from the types that make them. A field without a comment says it by its name. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, ScriptError } from './lib.mjs'

/** Command → what `data` is. */
const COMMANDS = [
  ['status', 'StatusRecord'],
  ['list mappings', 'MappedRecord[]'],
  ['list exposures', 'ExposedRecord[]'],
  ['list connections', 'ConnectionRecord[]'],
  ['list peers', 'PeerStatus[]'],
  ['map SPEC, unmap NAME', 'MappedRecord; MappedRecord[] for a range'],
  ['expose SPEC, unexpose NAME', 'ExposedRecord; ExposedRecord[] for a range'],
  ['invite', 'TicketRecord'],
  ['whois IP:PORT', 'WhoisRecord'],
  ['resolve NAME', 'ResolveRecord'],
  ['doctor', 'DoctorRecord'],
  ['doctor TARGET', 'ExplainRecord'],
  ['trust list', 'TrustRecord[]'],
  ['trust pending', 'PendingTrustRecord[]'],
  ['trust request PEER', 'TrustRequestRecord'],
  ['trust approve, reject, revoke PEER', 'TrustRecord'],
  ['bench PEER', 'BenchRecord'],
  ['send PEER', 'OutgoingRecord'],
  ['outbox list', 'OutgoingRecord[]'],
  ['inbox list, rm', 'InboxRecord[]'],
  ['inbox read, wait', 'InboxRecord'],
  ['ping PEER', '`peer`, `nodeId`, `sent`, `received`, `rtts`, `minMs`, `avgMs`, `maxMs`, `replies` (PingRecord[])'],
  ['drain, resume', 'DrainRecord'],
  ['config show', 'SettingRecord[]'],
  ['config diff FILE, reload', 'Changes, with `version` and `restart`'],
]
const EVENTS = [
  ['mapped, unmapped', 'MappedRecord'],
  ['exposed, unexposed', 'ExposedRecord'],
  ['ready', 'ReadyEvent'],
  ['reloaded', 'Changes, with `version`'],
  ['path', 'PathStatus, with `peer` and `nodeId`'],
  ['trust', '`peer`, `nodeId`, `state` (pending, approved, rejected, revoked), `nameVerified`, `fingerprint`'],
  ['ticket', '`state` (used), `service`, `peer`, `nodeId`'],
  ['message', '`peer`, `nodeId`, `type`, `bytes`, `path`, `id`, `messageId`, `replyTo`'],
  ['sent', '`id`, `peer`, `state` (delivered, expired, refused, cancelled), `bytes`, `error`'],
]
const SOURCES = [
  'src/gateway/model/records.ts',
  'src/gateway/model/events.ts',
  'src/runtime/overlay.ts',
  'src/services/messages/records.ts',
]
/** Of overlay.ts only what records are made of. */
const FROM_OVERLAY = new Set(['OverlayStatus', 'PathStatus', 'PeerStatus', 'KnownPathStatus', 'NatStatus'])
const FROM_MESSAGES = new Set(['InboxRecord', 'OutgoingRecord'])

export function jsonDocument() {
  const records = SOURCES.flatMap((file) =>
    interfacesOf(readFileSync(join(ROOT, file), 'utf8')).filter(
      ({ name }) => (file !== SOURCES[2] || FROM_OVERLAY.has(name)) && (file !== SOURCES[3] || FROM_MESSAGES.has(name)),
    ),
  )
  const names = new Set(records.map(({ name }) => name))
  for (const [, what] of [...COMMANDS, ...EVENTS])
    for (const [name] of what.matchAll(/\b[A-Z]\w+(?:Record|Event|Status)\b|\bChanges\b/g))
      if (!names.has(name)) throw new ScriptError(`scripts/json-docs.mjs names ${name}, which no source declares`)
  return `${HEAD}
## Results

${table(
  ['Command', '`data`'],
  COMMANDS.map(([command, what]) => [`\`${command}\``, linked(what, names)]),
)}

## Events

What \`up --json\` prints while it runs, one object a line, with \`v\` and \`event\` first; [operations.md](operations.md) says when.

${table(
  ['Event', 'Fields'],
  EVENTS.map(([event, what]) => [`\`${event}\``, linked(what, names)]),
)}

## Records

${records.map((record) => section(record, names)).join('\n\n')}
`
}

function section({ name, about, base, fields }, names) {
  const title = `### ${name}`
  const lines = [title, '']
  if (about !== '') lines.push(about, '')
  if (base !== '') lines.push(`All fields of ${linked(base, names)}, and:`, '')
  lines.push(
    table(
      ['Field', 'Type', 'Meaning'],
      fields.map(({ field, optional, type, text }) => [
        `\`${field}\`${optional ? ' (may be absent)' : ''}`,
        linked(type, names),
        text,
      ]),
    ),
  )
  return lines.join('\n')
}

/** Interfaces with their comments and fields, in the order of the file. */
export function interfacesOf(text) {
  return [
    ...text.matchAll(/(?:^\/\*\*((?:(?!\*\/)[^])*)\*\/\n)?^export interface (\w+)(?: extends (\w+))? \{\n([^]*?)^\}/gm),
  ].map(([, about = '', name, base = '', body]) => ({
    name,
    base,
    about: plain(about),
    fields: fieldsOf(body),
  }))
}

function fieldsOf(body) {
  const fields = []
  let comment = ''
  const lines = body.split('\n')
  while (lines.length > 0) {
    let line = lines.shift()
    if (/^\s*\/\*\*/.test(line)) {
      while (!line.includes('*/')) line += `\n${lines.shift()}`
      comment = plain(line.replace(/^\s*\/\*\*|\*\/\s*$/g, ''))
      continue
    }
    const [, field, optional, start] = /^ {2}(?:readonly )?(\w+)(\??): (.*)$/.exec(line) ?? []
    if (field === undefined) continue
    let type = start
    while (count(type, '{') > count(type, '}')) type += ` ${lines.shift().trim()}`
    const [, bare, beside = ''] = /^(.*?)(?:\s*\/\/ (.*))?$/s.exec(type)
    fields.push({
      field,
      optional: optional === '?',
      type: shortType(bare),
      text: [comment, beside].filter(Boolean).join(' '),
    })
    comment = ''
  }
  return fields
}

function shortType(type) {
  return type
    .replaceAll('readonly ', '')
    .replace(/\bNodeId\b/g, 'number')
    .replace(/\bErrorCode\b/g, 'string')
    .replace(/Readonly<(.*)>/, '$1')
    .replace(/\s+/g, ' ')
    .trim()
}

function linked(text, names) {
  return text.startsWith('`')
    ? text
    : text.replace(/\b[A-Z]\w+\b/g, (name) => {
        const target = ALIASES[name] ?? name
        return names.has(target) ? `[${target}](#${target.toLowerCase()})` : name
      })
}

function plain(comment) {
  return comment
    .replace(/^\s*\*+ ?/gm, '')
    .replace(/\s+/g, ' ')
    .trim()
}

function table(head, rows) {
  const line = (cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

function count(text, char) {
  return text.split(char).length - 1
}

const ALIASES = { PathRecord: 'PathStatus', PeerRecord: 'PeerStatus', NatRecord: 'NatStatus' }

const HEAD = `# JSON

<!-- Written by scripts/schema.mjs from the types of the records: edit those. -->

With \`--json\` a command prints one line: \`{"v":1,"status":"ok","data":…}\`, or
\`{"v":1,"status":"error","code":"…","message":"…","hint":"…"}\` with a code of [errors.md](errors.md). The admin socket answers with
the same records ([operations.md](operations.md)). Fields are added, never renamed or removed, so ignore those you do not know.

Times are RFC 3339; names that end in \`Ms\` are milliseconds, in \`Bytes\` or \`bytes\` bytes. Node ids are numbers; 0 means not
registered yet. Keys are base64.
`
