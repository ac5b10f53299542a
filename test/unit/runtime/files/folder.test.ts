/** Folders are made with their parents, and a place where none can be made is an error, not a wait without end. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { makeFolder, makeFolderNow } from '../../../../src/runtime/files/folder.ts'

let root: string
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'pilotgate-folder-'))
})
after(async () => rm(root, { recursive: true }))

for (const [how, make] of [
  ['asynchronously', makeFolder],
  ['synchronously', async (folder: string) => makeFolderNow(folder)],
] as const) {
  test(`a folder is made ${how} with its parents, for the user alone, and may exist already`, async () => {
    const folder = join(root, how, 'a/b/c')
    await make(folder)
    await make(folder)
    for (const path of [folder, join(root, how, 'a')]) assert.equal((await stat(path)).mode & 0o777, 0o700)
  })

  test(`what cannot be a folder fails at once, ${how}`, async (t) => {
    const file = join(root, `${how}-file`)
    await writeFile(file, '')
    await symlink(join(root, 'nowhere'), join(root, `${how}-link`))
    await assert.rejects(make(file), { code: 'EEXIST' })
    await assert.rejects(make(join(file, 'x')), { code: 'ENOTDIR' })
    await assert.rejects(make(join(root, `${how}-link`)), { code: 'EEXIST' })
    if (process.platform !== 'linux') return t.skip('no /proc here')
    await assert.rejects(make('/proc/pilotgate/state'), { code: 'ENOENT' }) // a recursive mkdir never returned
  })
}
