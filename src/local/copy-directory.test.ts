import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { copyDirectory } from './copy-directory.ts'

const kib = 1024

test('a copy has the same bytes, in few blocks where they are zeros, on disk or not', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sw-copy-'))
  try {
    const from = join(dir, 'from')
    mkdirSync(join(from, 'sub', 'empty'), { recursive: true })
    // Larger than a turn, data in the first block, in the middle and in a last one that is not whole.
    const sparse = Buffer.alloc(9 * 1024 * kib + 777)
    for (const at of [0, 5 * 1024 * kib + 3, sparse.length - 1]) sparse[at] = 1
    writeFileSync(join(from, 'sparse'), sparse)
    writeFileSync(join(from, 'zeros'), Buffer.alloc(2 * 1024 * kib))
    writeFileSync(join(from, 'none'), '')
    for (let n = 0; n < 40; n++) writeFileSync(join(from, 'sub', `small ${n}`), `${n}`)
    for (const durable of [false, true]) {
      const to = join(dir, `to-${durable}`)
      await copyDirectory(from, to, durable)
      const names = (of: string): string[] => readdirSync(of, { recursive: true }).map(String).sort()
      assert.deepEqual(names(to), names(from))
      for (const name of names(from))
        if (statSync(join(from, name)).isFile()) assert.ok(readFileSync(join(to, name)).equals(readFileSync(join(from, name))), name)
      assert.ok(statSync(join(to, 'sparse')).blocks * 512 < 1024 * kib)
    }
    await assert.rejects(copyDirectory(from, join(dir, 'to-true'), false), { code: 'EEXIST' })
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})
