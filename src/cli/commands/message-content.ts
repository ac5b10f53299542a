/** The content of a message in the inbox, from its file: this program runs as the user that it belongs to. */
import { readFile } from 'node:fs/promises'
import { isUtf8 } from 'node:buffer'
import { PilotError } from '../../base/errors.ts'
import type { InboxRecord } from '../../services/messages/records.ts'

export interface MessageContent {
  readonly bytes: Buffer
  readonly text: string | null // null: not UTF-8
}

/** @throws PilotError NOT_FOUND if it has gone in the meantime. */
export async function readMessage({ id, path, type }: InboxRecord): Promise<MessageContent> {
  let file: Buffer
  try {
    file = await readFile(path)
  } catch (error) {
    throw new PilotError('NOT_FOUND', `the message "${id}" cannot be read: ${(error as Error).message}`, { id }, error)
  }
  const bytes = type === 'file' ? file : contentOf(file)
  return { bytes, text: isUtf8(bytes) ? bytes.toString('utf8') : null }
}

/** Of a record (today.md 2.6). */
function contentOf(file: Buffer): Buffer {
  const record = JSON.parse(file.toString('utf8')) as { readonly data?: unknown; readonly data_b64?: unknown }
  if (typeof record.data_b64 === 'string') return Buffer.from(record.data_b64, 'base64')
  return Buffer.from(typeof record.data === 'string' ? record.data : '')
}
