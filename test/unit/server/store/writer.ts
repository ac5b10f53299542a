/** Run by stores.test.ts, which kills it: writes ten records at a time and prints their keys once they are flushed. */
import { openJournalStore } from '../../../../src/server/store/journal-store.ts'
import { openLmdbStore } from '../../../../src/server/store/lmdb-store.ts'

const [kind, directory = '', round = ''] = process.argv.slice(2)
const store = await (kind === 'lmdb' ? openLmdbStore : openJournalStore)(directory)
for (let i = 0; i < 1_000_000; i += 10) {
  const keys = Array.from({ length: 10 }, (_, k) => `node/${round}-${i + k}`)
  for (const key of keys) store.put(key, { payload: 'x'.repeat(200) })
  await store.flushed()
  process.stdout.write(keys.map((key) => `${key}\n`).join(''))
}
