/** The routes of messages. */
import { fromBase64, utf8 } from '../base/bytes.ts'
import { PilotError } from '../base/errors.ts'
import type { InboxFilter, MessageType, SendRequest } from '../services/messages/records.ts'
import { type Body, numberOf, optionalText, post, get, type Route, textOf } from './body.ts'

export const MESSAGE_ROUTES: Readonly<Record<string, Route | readonly Route[]>> = {
  '/v1/messages': [
    get(({ messages }) => messages.outgoing()),
    post(({ messages }, body) => messages.send(sendRequest(body))),
  ],
  '/v1/messages/show': post(({ messages }, body) => {
    const id = textOf(body, 'id', MAX_ID_CHARS)
    const [record] = messages.outgoing(id)
    if (record !== undefined) return record
    throw new PilotError('NOT_FOUND', `no message "${id}" was sent from here lately`, { id })
  }),
  '/v1/messages/cancel': post(({ messages }, body) => messages.cancel(textOf(body, 'id', MAX_ID_CHARS))),
  '/v1/inbox': [
    get(({ messages }) => messages.inbox({})),
    post(({ messages }, body) => messages.inbox(filterOf(body))),
  ],
  '/v1/inbox/find': post(({ messages }, body) => messages.find(textOf(body, 'id', MAX_ID_CHARS))),
  '/v1/inbox/remove': post(({ messages }, body) => messages.remove(idsOf(body))),
  '/v1/inbox/wait': post(({ messages }, body) =>
    messages.wait(filterOf(body), numberOf(body, 'timeoutMs', 0, MAX_WAIT_MS)),
  ),
}

function sendRequest(body: Body): SendRequest {
  const type = textOf(body, 'type', 6)
  if (!TYPES.some((each) => each === type)) throw new PilotError('USAGE', `"type": expected ${TYPES.join(', ')}`)
  const forMs = body['forMs'] === undefined ? undefined : numberOf(body, 'forMs', MIN_TTL_MS, MAX_TTL_MS)
  return {
    peer: textOf(body, 'peer', MAX_ID_CHARS),
    type: type as MessageType,
    ...contentOf(body),
    name: optionalText(body, 'name', MAX_ID_CHARS),
    replyTo: optionalText(body, 'replyTo', 128),
    forMs,
  }
}

/** The path of a file on this machine, or a text or bytes in the request itself. */
function contentOf(body: Body): Pick<SendRequest, 'content' | 'path'> {
  const { text, base64 } = body
  if (typeof text === 'string') return { content: utf8(text) }
  const content = typeof base64 === 'string' ? fromBase64(base64) : undefined
  return content === undefined ? { path: textOf(body, 'path', MAX_PATH_CHARS) } : { content }
}

function filterOf(body: Body): InboxFilter {
  return {
    from: optionalText(body, 'from', MAX_ID_CHARS),
    replyTo: optionalText(body, 'replyTo', 128),
    after: optionalText(body, 'after', 2 * MAX_ID_CHARS),
  }
}

function idsOf(body: Body): readonly string[] {
  const { ids } = body
  if (Array.isArray(ids) && ids.length > 0 && ids.every((id) => typeof id === 'string')) return ids
  throw new PilotError('USAGE', '"ids": expected a list of the ids of messages')
}

const TYPES: readonly MessageType[] = ['text', 'binary', 'json', 'file']
const MAX_ID_CHARS = 255
const MAX_PATH_CHARS = 4_096
/** Shorter ones would end before a peer that restarts is back. */
export const MIN_TTL_MS = 10_000
export const MAX_TTL_MS = 7 * 86_400_000
/** A client that waits longer asks again. */
export const MAX_WAIT_MS = 60_000
