/** The names that peers give their files. */
import { utf8 } from '../../base/bytes.ts'

/** Why a name is refused, in words for the peer; undefined: it is not (today.md 2.6). */
export function fileNameFault(name: string): string | undefined {
  if (name === '' || utf8(name).length > MAX_NAME_BYTES) return 'a file name has 1 to 255 bytes'
  if (/[/\\\0]/.test(name) || name === '.' || name === '..') return 'the file name is a path'
  return undefined
}

/** For our disk: no hidden file, no option of a command, nothing that a terminal or another system trips over. */
export function safeFileName(name: string): { readonly stem: string; readonly extension: string } {
  const base =
    name
      .replaceAll(/[^\p{L}\p{N}._ -]/gu, '_')
      .replace(/^[.-]+/, '')
      .slice(-MAX_CHARS) || 'file'
  const dot = base.lastIndexOf('.')
  return dot <= 0 ? { stem: base, extension: '' } : { stem: base.slice(0, dot), extension: base.slice(dot) }
}

const MAX_NAME_BYTES = 255
/** With date and number it stays below the 255 bytes that file systems allow, also with 4 bytes for each character. */
const MAX_CHARS = 50
