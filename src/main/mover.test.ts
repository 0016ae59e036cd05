import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Final, until } from '../../test/kit/until.ts'

test('promise 7: a mover that gets SIGUSR2 writes what its streams are at into its log, and goes on', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sw-main-mover-'))
  const child = fork(join(import.meta.dirname, 'mover.ts'), ['--data-dir', dir], { execArgv: ['--disable-warning=ExperimentalWarning'] })
  const gone = once(child, 'exit')
  const file = join(dir, 'logs', 'mover.log')
  try {
    await once(child, 'message')
    for (const times of [1, 2]) {
      child.kill('SIGUSR2')
      await until('the log', async () => {
        if (child.exitCode !== null || child.signalCode !== null) throw new Final('the mover has ended')
        const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []
        const told = lines.filter((line) => line.includes('what every stream is at'))
        assert.equal(told.length, times)
        assert.deepEqual(JSON.parse(told[0] ?? '').streams, [])
        return true
      })
    }
  } finally {
    child.kill('SIGTERM')
    await gone
    rmSync(dir, { recursive: true })
  }
})
