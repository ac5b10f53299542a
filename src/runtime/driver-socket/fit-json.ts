/** JSON answers that fit a message: daemons shorten lists, and say so. */
import { utf8 } from '../../base/bytes.ts'
import { MAX_IPC_MESSAGE_BYTES } from '../../wire/ipc-messages.ts'

/** The answer as JSON; if it is too long, its longest lists are halved until it fits, each with `NAME_truncated: true`. */
export function fitJson(answer: Readonly<Record<string, unknown>>, limitBytes = MAX_JSON_BYTES): string {
  const fitting: Record<string, unknown> = { ...answer }
  for (;;) {
    const text = JSON.stringify(fitting)
    if (text.length * 3 <= limitBytes || utf8(text).length <= limitBytes) return text
    const lists = Object.entries(fitting).filter((entry): entry is [string, unknown[]] => Array.isArray(entry[1]))
    const [name, list] = lists.sort(([, a], [, b]) => b.length - a.length)[0] ?? []
    if (name === undefined || list === undefined || list.length === 0) return JSON.stringify({ truncated: true })
    fitting[name] = list.slice(0, list.length >> 1)
    fitting[`${name}_truncated`] = true
  }
}

/** The length of a message, and what daemons leave free. */
const MAX_JSON_BYTES = MAX_IPC_MESSAGE_BYTES - 64
